//! A device's queue and its worker, which does one job at a time.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use medfocus_plugin_api::{Error, Result};

use super::{
    job::{Done, Job},
    worker::Worker,
};
use crate::{plugin::Session, workbench::Workbench};

/// What a lane allows.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Jobs that wait, at most.
    pub waiting: usize,
    /// How long one may take.
    pub longest: Duration,
}

/// So long after it was asked to stop a worker is given up. (A plugin in a process of its own is ended after five seconds.)
const GRACE: Duration = Duration::from_secs(10);

/// Called with each job that ended and the bytes that it holds.
pub type Ended = Box<dyn Fn(&Job, usize) + Send + Sync>;

/// A queue of jobs and the worker that takes them.
pub struct Lane {
    bench: Workbench,
    rules: Rules,
    ended: Ended,
    state: Mutex<State>,
    more: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Arc<Job>>,
    running: Option<Running>,
    /// Which worker counts: one that was given up may come back.
    worker: u64,
    closed: bool,
}

struct Running {
    job: Arc<Job>,
    session: Session,
    since: Instant,
    stopping: Option<Stopping>,
}

struct Stopping {
    since: Instant,
    why: Error,
}

impl Lane {
    /// Opens a lane; its workers fork this bench.
    pub fn open(bench: &Workbench, rules: Rules, ended: Ended) -> Arc<Self> {
        let lane = Arc::new(Self {
            bench: bench.apart(),
            rules,
            ended,
            state: Mutex::default(),
            more: Condvar::new(),
        });
        lane.clone().hire(0);
        lane
    }

    /// Puts a job at the end of the queue; gives it back if there is no place.
    pub fn push(&self, job: Arc<Job>) -> Result<(), Arc<Job>> {
        let mut state = self.lock();
        if state.closed || state.waiting.len() >= self.rules.waiting {
            return Err(job);
        }
        state.waiting.push_back(job);
        state.count();
        self.more.notify_one();
        Ok(())
    }

    /// Stops a job that waits or runs here.
    pub fn cancel(&self, job: &Job) {
        let mut state = self.lock();
        if let Some(at) = state.waiting.iter().position(|other| other.id == job.id) {
            state.waiting.remove(at);
            state.count();
            drop(state);
            self.end(job, Err(Error::cancelled()));
        } else if let Some(running) = state.running.as_mut().filter(|own| own.job.id == job.id) {
            running.stop(Error::cancelled());
        }
    }

    /// Stops what has run too long, and gives up a worker that does not stop: another takes its place.
    pub fn watch(self: &Arc<Self>, now: Instant) {
        let mut state = self.lock();
        let Some(running) = &mut state.running else {
            return;
        };
        if now.saturating_duration_since(running.since) >= self.rules.longest {
            let seconds = self.rules.longest.as_secs();
            running.stop(
                Error::internal(format!("the answer took longer than {seconds} s"))
                    .with_hint("ask with another method, or raise `--longest`"),
            );
        }
        let stuck = |stopping: &Stopping| now.saturating_duration_since(stopping.since) >= GRACE;
        if !running.stopping.as_ref().is_some_and(stuck) {
            return;
        }
        tracing::warn!("a plugin does not stop: its worker is given up");
        let given_up = state.running.take();
        state.worker += 1;
        let worker = state.worker;
        drop(state);
        if let Some(Running { job, .. }) = given_up {
            let error =
                Error::internal("the method or the model did not stop when it was asked to");
            self.end(
                &job,
                Err(error
                    .with_hint("let it run in a process of its own: set `plugins.isolation.of`")),
            );
        }
        self.clone().hire(worker);
    }

    /// Takes no more jobs and stops those that are there.
    pub fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let waiting = std::mem::take(&mut state.waiting);
        if let Some(running) = &mut state.running {
            running.stop(Error::cancelled());
        }
        drop(state);
        waiting.iter().for_each(|job| job.cancel());
        self.more.notify_all();
    }

    /// Whether nothing runs.
    pub fn is_idle(&self) -> bool {
        self.lock().running.is_none()
    }

    fn hire(self: Arc<Self>, number: u64) {
        thread::spawn(move || {
            // A session of its own: the former worker's stays cancelled.
            let bench = self.bench.apart();
            let session = bench.session.clone();
            let mut worker = Worker::new(bench);
            while let Some(job) = self.next(number, &session) {
                let outcome = catch_unwind(AssertUnwindSafe(|| worker.work(&job)));
                let broken = |_| Err(Error::internal("the server has a defect: see its log"));
                self.finish(number, &job, outcome.unwrap_or_else(broken));
            }
        });
    }

    /// Waits for the next job; nothing once this worker is not wanted any more.
    fn next(&self, number: u64, session: &Session) -> Option<Arc<Job>> {
        let mut state = self.lock();
        loop {
            if state.closed || state.worker != number {
                return None;
            }
            if let Some(job) = state.waiting.pop_front() {
                session.resume();
                state.running = Some(Running {
                    job: job.clone(),
                    session: session.clone(),
                    since: Instant::now(),
                    stopping: None,
                });
                state.count();
                job.start();
                return Some(job);
            }
            state = self
                .more
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn finish(&self, number: u64, job: &Job, outcome: Result<Done>) {
        let mut state = self.lock();
        if state.worker != number {
            return;
        }
        let running = state.running.take();
        drop(state);
        let stopping = running.and_then(|running| running.stopping);
        self.end(
            job,
            match (outcome, stopping) {
                (Err(_), Some(stopping)) => Err(stopping.why),
                (outcome, _) => outcome,
            },
        );
    }

    fn end(&self, job: &Job, outcome: Result<Done>) {
        let result = outcome.as_ref().map_or(0, Done::bytes);
        job.end(outcome);
        (self.ended)(job, result + job.asked.source.study.bytes());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Tells each job that waits how many come before it.
    fn count(&self) {
        let running = usize::from(self.running.is_some());
        for (at, job) in self.waiting.iter().enumerate() {
            job.place(at + running);
        }
    }
}

impl Running {
    /// The first reason counts.
    fn stop(&mut self, why: Error) {
        if self.stopping.is_none() {
            let since = Instant::now();
            self.stopping = Some(Stopping { since, why });
            self.session.cancel();
        }
    }
}
