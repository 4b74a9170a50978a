//! Workers: threads that take items from one queue.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use medfocus_plugin_api::Result;

use super::config::Experiment;
use crate::workbench::{Ready, Workbench, on};

/// Items handed out one by one, until they are done or a worker failed.
pub(super) struct Queue<'a, T> {
    items: &'a [T],
    next: AtomicU64,
}

impl<T: Copy> Queue<'_, T> {
    /// The next item, if there is one.
    pub fn next(&self) -> Option<T> {
        let at = self.next.fetch_add(1, Ordering::Relaxed);
        self.items.get(at as usize).copied()
    }

    fn close(&self) {
        self.next.store(self.items.len() as u64, Ordering::Relaxed);
    }
}

/// Workers, each with a bench of its own and the model that it worked around last.
pub(super) struct Crew(Vec<Worker>);

struct Worker {
    bench: Workbench,
    /// Where its models compute, unless they say so themselves.
    device: Option<String>,
    model: Option<(String, Ready)>,
}

impl Worker {
    /// Its bench and this model, loaded unless it is the last one.
    fn around(&mut self, name: &str) -> Result<(&Workbench, &Ready)> {
        let bench = &self.bench;
        let ready = match self.model.take() {
            Some((held, ready)) if held == name => ready,
            other => {
                // Freed before the next one takes its memory.
                drop(other);
                let device = on(self.device.as_deref());
                bench.make(&bench.plan_model(name, device)?, None)?
            }
        };
        let (_, ready) = self.model.insert((name.to_owned(), ready));
        Ok((bench, ready))
    }
}

impl Crew {
    /// As many workers as the experiment wants, at least one a device.
    pub fn new(bench: &Workbench, experiment: &Experiment) -> Self {
        let devices = &experiment.devices;
        let worker = |number: usize| Worker {
            bench: bench.fork(),
            device: devices.get(number % devices.len().max(1)).cloned(),
            model: None,
        };
        let workers = experiment.workers.max(devices.len()).max(1);
        Self((0..workers).map(worker).collect())
    }

    /// Lets the workers, each around a `model` of its own, take items until none is left; the first error stops all.
    /// They keep their models for the next call; other models are freed.
    pub fn work<T: Copy + Sync>(
        &mut self,
        model: &str,
        items: &[T],
        work: impl Fn(&Workbench, &Ready, &Queue<'_, T>) -> Result<()> + Sync,
    ) -> Result<()> {
        let queue = Queue {
            items,
            next: AtomicU64::new(0),
        };
        for worker in &mut self.0 {
            worker.model.take_if(|(held, _)| held != model);
        }
        let failed = Mutex::new(None);
        std::thread::scope(|scope| {
            for worker in self.0.iter_mut().take(items.len()) {
                scope.spawn(|| {
                    let done = worker
                        .around(model)
                        .and_then(|(bench, ready)| work(bench, ready, &queue));
                    if let Err(error) = done {
                        queue.close();
                        let mut first = failed.lock().unwrap_or_else(PoisonError::into_inner);
                        first.get_or_insert(error);
                    }
                });
            }
        });
        match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}
