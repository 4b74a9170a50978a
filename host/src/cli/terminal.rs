//! Logging, progress, interruption.

use std::{io::IsTerminal, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};
use tracing_subscriber::EnvFilter;

use crate::{
    experiment::run::RUN,
    plugin::{Progress, Session},
};

/// Logs to standard error; `MEDFOCUS_LOG` says how much, as `debug` or `medfocus=trace`.
pub fn start_logging() {
    let filter = EnvFilter::try_from_env("MEDFOCUS_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .init();
}

/// Tells libtorch's pools how many threads to start. Call before any plugin is opened.
pub fn limit_threads(threads: Option<usize>) {
    if let Some(threads) = threads {
        // The program has one thread until the first plugin is opened.
        unsafe { std::env::set_var("OMP_NUM_THREADS", threads.max(1).to_string()) };
    }
}

/// Shows the session's progress, and stops it on the first interrupt; a second one ends the process.
pub fn attend(session: &Session) {
    let stop = session.clone();
    let installed = ctrlc::set_handler(move || {
        if stop.cancelled() {
            std::process::exit(130);
        }
        stop.cancel();
    });
    if let Err(error) = installed {
        tracing::debug!("interrupts end the process at once: {error}");
    }
    if !std::io::stderr().is_terminal() {
        session.on_progress(report_run);
        return;
    }
    let bar = ProgressBar::no_length();
    let style = ProgressStyle::with_template("{prefix} [{bar:32}] {pos}/{len} {msg} {eta}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(200));
    session.on_progress(move |progress| {
        bar.set_prefix(progress.component.to_owned());
        bar.set_message(progress.note.to_owned());
        bar.set_length(progress.total);
        bar.set_position(progress.done);
        if progress.total > 0 && progress.done >= progress.total {
            bar.finish_and_clear();
        }
    });
}

/// Where no bar can be drawn: a line for every twentieth part of a run.
fn report_run(progress: &Progress<'_>) {
    let Progress {
        done, total, note, ..
    } = *progress;
    let part = |done: u64| done * 20 / total.max(1);
    if progress.component == RUN && total >= 20 && done > 0 && part(done) > part(done - 1) {
        eprintln!("{done} of {total} {note}");
    }
}
