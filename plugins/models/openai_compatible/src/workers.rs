//! Threads that wait for the server, so that whoever asked can be stopped meanwhile.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{RecvTimeoutError, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use medfocus_plugin_api::{Context, Error, Result};

/// How often whoever waits looks whether to stop.
const GLANCE: Duration = Duration::from_millis(50);

type Job = Box<dyn FnOnce() + Send>;

/// As many threads as requests may be under way at once, whoever makes them.
pub struct Workers(Sender<Job>);

/// Tells a job that nobody waits for it any more.
#[derive(Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Whether nobody waits any more.
    pub fn asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Waits for so long.
    ///
    /// # Errors
    ///
    /// [`Error::cancelled`] as soon as nobody waits any more.
    pub fn wait(&self, duration: Duration) -> Result<()> {
        let end = Instant::now() + duration;
        loop {
            if self.asked() {
                return Err(Error::cancelled());
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            thread::sleep(left.min(GLANCE));
        }
    }
}

/// Asks to stop when it goes.
struct Waiting(Stop);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

impl Workers {
    /// So many threads, which end when this goes and their jobs are done.
    ///
    /// # Errors
    ///
    /// A thread cannot be started.
    pub fn new(count: u32) -> Result<Self> {
        let (jobs, waiting) = channel::<Job>();
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..count {
            let waiting = waiting.clone();
            let next = move || {
                waiting
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .recv()
            };
            let work = move || {
                while let Ok(job) = next() {
                    // Whoever waits for it hears that it came to no end.
                    let _ = catch_unwind(AssertUnwindSafe(job));
                }
            };
            thread::Builder::new()
                .spawn(work)
                .map_err(|error| Error::internal(format!("a thread cannot be started: {error}")))?;
        }
        Ok(Self(jobs))
    }

    /// What each job gives, in their order.
    ///
    /// # Errors
    ///
    /// What a job fails with, and [`Error::cancelled`]. Then the other jobs are not begun, and those under way are not
    /// waited for.
    pub fn each<T, J>(&self, context: &Context, note: &str, jobs: Vec<J>) -> Result<Vec<T>>
    where
        T: Send + 'static,
        J: FnOnce(&Stop) -> Result<T> + Send + 'static,
    {
        let gone = || Error::internal("a request to the model server came to no end");
        let waiting = Waiting(Stop::default());
        let total = jobs.len();
        let (answers, replies) = channel();
        for (number, job) in jobs.into_iter().enumerate() {
            let (stop, answers) = (waiting.0.clone(), answers.clone());
            let job: Job = Box::new(move || {
                if !stop.asked() {
                    let _ = answers.send((number, job(&stop)));
                }
            });
            self.0.send(job).map_err(|_| gone())?;
        }
        drop(answers);
        let mut found: Vec<Option<T>> = (0..total).map(|_| None).collect();
        let mut done = 0;
        while done < total {
            context.step(done as u64, total as u64, note)?;
            match replies.recv_timeout(GLANCE) {
                Ok((number, answer)) => {
                    found[number] = Some(answer?);
                    done += 1;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(gone()),
            }
        }
        Ok(found.into_iter().flatten().collect())
    }
}
