//! Logging, progress, interruption.

#![allow(
    unsafe_code,
    reason = "libtorch reads its threads from the environment; a signal's default"
)]

use std::{
    io::IsTerminal,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};
use tracing_subscriber::EnvFilter;

use super::ending;
use crate::plugin::{Progress, Session};

/// Logs to standard error; `MEDFOCUS_LOG` says how much, as `debug` or `medfocus=trace`.
pub fn start_logging() {
    let filter = EnvFilter::try_from_env("MEDFOCUS_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .init();
}

/// Lets the program end quietly as soon as nobody reads what it prints, as of `medfocus report X | head`.
pub fn end_with_the_reader() {
    // SAFETY: the default of every program that is not Rust's; there is one thread yet. Sockets are written to without signals.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}

/// Tells libtorch's pools how many threads to start. Call before any plugin is opened.
pub fn limit_threads(threads: Option<usize>) {
    if let Some(threads) = threads {
        // SAFETY: the program has one thread until the first plugin is opened.
        unsafe { std::env::set_var("OMP_NUM_THREADS", threads.max(1).to_string()) };
    }
}

/// Shows the session's progress, and stops it on the first interrupt; a second one ends the process.
pub fn attend(session: &Session) {
    let stop = session.clone();
    let installed = ctrlc::set_handler(move || {
        if stop.cancelled() {
            ending::exit(130);
        }
        stop.cancel();
    });
    if let Err(error) = installed {
        tracing::debug!("interrupts end the process at once: {error}");
    }
    if !std::io::stderr().is_terminal() {
        let lines = Mutex::default();
        session.on_progress(move |progress| report_run(&lines, progress));
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

/// When a stage of a run began, with how many steps done.
type Began = Option<(String, Instant, u64)>;

/// After so many steps there is a first guess at the time that is left.
const EARLY: u64 = 5;

/// Where no bar can be drawn: a line soon and for every twentieth part of a run's stage, with the time that is left.
fn report_run(began: &Mutex<Began>, progress: &Progress<'_>) {
    let Progress {
        component,
        done,
        total,
        note,
    } = *progress;
    if component != Progress::RUN || total < 20 || done == 0 {
        return;
    }
    let mut began = began.lock().unwrap_or_else(PoisonError::into_inner);
    let (_, start, before) = match &mut *began {
        Some(stage) if stage.0 == note => stage,
        other => other.insert((note.to_owned(), Instant::now(), done)),
    };
    let part = |done: u64| done * 20 / total;
    let since = done.saturating_sub(*before);
    if since == EARLY || part(done) > part(done - 1) {
        let each = start.elapsed().as_secs_f64() / since.max(1) as f64;
        let left = each * total.saturating_sub(done) as f64 / 60.0;
        eprintln!("{done} of {total} {note}, about {left:.1} min left");
    }
}

/// A text as one line: what a file put into it is no line break, and no command to the terminal.
pub fn line(text: &str) -> String {
    let mut line = String::new();
    for c in text.chars() {
        match c.is_control() {
            true => line.extend(c.escape_default()),
            false => line.push(c),
        }
    }
    line
}
