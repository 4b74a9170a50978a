//! `medfocus serve`: the workbench as a web service, with a page for people.
//!
//! `listen` takes connections, `gate` says who may come in, `routes` answer. They share the `desk`: `catalogue` says
//! what can be asked, `ask` checks a question, a `lane` of each device queues it as a `job` and its `worker` does it,
//! `answer` is what the page shows of it. Images and results lie in a `store` under random names (`id`), never on a disk.

mod answer;
mod ask;
mod catalogue;
mod desk;
mod gate;
mod id;
mod job;
mod lane;
mod listen;
mod problem;
mod routes;
mod store;
mod worker;

use std::{
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use medfocus_plugin_api::{Error, Result};

use self::{catalogue::Catalogue, desk::Desk, gate::Gate, lane::Rules};
use crate::workbench::Workbench;

/// What is served, to whom.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Host names to answer to, besides addresses and `localhost`.
    pub hosts: Vec<String>,
    /// File with the token.
    pub token: Option<PathBuf>,
    /// The models to offer, as `--model` names one; all with a checkpoint if none.
    pub models: Vec<String>,
    /// Where they compute.
    pub device: Option<String>,
    /// Dataset whose first samples are offered.
    pub samples: String,
    /// Questions that wait for one device, at most.
    pub queue: usize,
    /// How long one may take.
    pub longest: Duration,
    /// Bytes of an image, at most.
    pub upload: usize,
}

/// How often the desk is tidied.
const TIDY: Duration = Duration::from_millis(500);
/// So long is waited at the end for those who work.
const FAREWELL: Duration = Duration::from_secs(5);

/// Serves until the user ends it; `ready` is told the address.
///
/// # Errors
///
/// It would listen beyond this machine without a token, there is no model, or the address cannot be had.
pub fn serve(bench: Workbench, options: &Options, ready: impl FnOnce(SocketAddr)) -> Result<()> {
    let gate = Gate::new(options.hosts.clone(), options.token.as_deref())?;
    if !options.listen.ip().is_loopback() && !gate.is_locked() {
        return Err(Error::invalid(format!(
            "{} is no address of this machine alone, and there is no token",
            options.listen
        ))
        .with_hint("name a file with one, as --token-file FILE, or listen at 127.0.0.1"));
    }
    let device = options.device.as_deref();
    let catalogue = Catalogue::new(&bench, &options.models, device, options.upload)?;
    let cannot = |error| {
        Error::invalid(format!("cannot listen at {}: {error}", options.listen))
            .with_hint("choose another port with --listen")
    };
    let listener = TcpListener::bind(options.listen).map_err(cannot)?;
    listener.set_nonblocking(true).map_err(cannot)?;
    let address = listener.local_addr().map_err(cannot)?;

    let rules = Rules {
        waiting: options.queue,
        longest: options.longest,
    };
    let desk = Arc::new(Desk::new(
        bench,
        catalogue,
        gate,
        rules,
        options.samples.clone(),
    ));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(8)
        .enable_all()
        .build()
        .map_err(|error| Error::internal(format!("the server cannot start: {error}")))?;
    runtime
        .block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let tidied = desk.clone();
            tokio::spawn(async move {
                loop {
                    tokio::time::sleep(TIDY).await;
                    tidied.tidy();
                }
            });
            ready(address);
            listen::listen(listener, routes::router(desk.clone()), ended()).await;
            desk.close();
            let end = Instant::now() + FAREWELL;
            while !desk.is_idle() && Instant::now() < end {
                tokio::time::sleep(TIDY / 10).await;
            }
            Ok(())
        })
        .map_err(cannot)?;
    runtime.shutdown_background();
    Ok(())
}

/// Waits for the user, or the system, to end the program.
async fn ended() {
    use tokio::signal::unix::{SignalKind, signal};
    let by = |kind| async move {
        match signal(kind) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    let (interrupt, end) = (by(SignalKind::interrupt()), by(SignalKind::terminate()));
    futures_util::future::select(std::pin::pin!(interrupt), std::pin::pin!(end)).await;
}
