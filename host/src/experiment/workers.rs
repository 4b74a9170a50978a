//! Workers: threads that take items from one queue.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use medfocus_plugin_api::Result;

use crate::workbench::Workbench;

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

/// Lets workers, each with a bench of its own, take items until none is left; the first error stops all.
pub(super) fn in_parallel<T: Copy + Sync>(
    bench: &Workbench,
    workers: usize,
    items: &[T],
    work: impl Fn(&Workbench, &Queue<'_, T>) -> Result<()> + Sync,
) -> Result<()> {
    if items.is_empty() {
        return Ok(());
    }
    let queue = Queue {
        items,
        next: AtomicU64::new(0),
    };
    let failed = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..workers.clamp(1, items.len()) {
            scope.spawn(|| {
                if let Err(error) = work(&bench.fork(), &queue) {
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
