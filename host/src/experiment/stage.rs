//! Cells whose samples go to one journal, done by as many workers as wanted.

use std::{
    collections::HashSet,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use medfocus_plugin_api::{Error, Result, VisionLanguageModel};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    journal::Journal,
    part::Part,
    phase::Phase,
    plan::{Cell, Plan},
    record::{CaseKey, Recorded},
    results::in_order,
    workers::{Crew, Queue},
};
use crate::{
    plugin::{Progress, Session},
    workbench::{Ready, Workbench},
};

/// How a run went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Finished {
    /// Samples that were already in the journal.
    pub resumed: u64,
    /// Samples of the plan.
    pub samples: u64,
    /// Of these, the ones that failed, wholly or in a method.
    pub failed: u64,
}

/// Cells whose samples go to one journal.
pub(super) struct Stage<'a> {
    /// Shows progress.
    pub session: &'a Session,
    pub plan: &'a Plan,
    /// Which of the samples are done here.
    pub part: &'a Part<'a>,
    pub phase: Phase,
    pub cells: &'a [Cell],
    /// What progress counts.
    pub note: &'a str,
}

pub(super) struct StageResult<R> {
    /// All records, in the order of the cells.
    pub records: Vec<R>,
    pub finished: Finished,
}

/// Where a worker takes samples, and where it puts what came of them.
pub(super) struct Desk<'a, R> {
    stage: &'a Stage<'a>,
    queue: &'a Queue<'a, (&'a Cell, u64)>,
    journal: &'a Journal<R>,
    made: &'a Mutex<Vec<R>>,
    failures: &'a Failures,
    counter: &'a AtomicU64,
    total: u64,
    /// Digest of the model's weights and settings.
    pub digest: String,
}

/// What a worker does around a model: takes samples from the desk until there is none.
type Work<'a, R> = &'a (dyn Fn(&Workbench, &Ready, &Desk<'_, R>) -> Result<()> + Sync);

impl Stage<'_> {
    /// Does what the journal lacks.
    pub fn run<R: Recorded + Serialize + DeserializeOwned + Send>(
        &self,
        crew: &mut Crew,
        journal: &Journal<R>,
        held: Vec<R>,
        retry_failed: bool,
        work: Work<'_, R>,
    ) -> Result<StageResult<R>> {
        let mut held = in_order(self.cells, held);
        if retry_failed {
            held.retain(|record| record.error().is_none());
        }
        let done: HashSet<CaseKey> = held.iter().map(|r| r.case().clone()).collect();
        let failed = |records: &[R]| records.iter().filter(|r| r.error().is_some()).count() as u64;
        let failures = Failures {
            count: AtomicU64::new(failed(&held)),
            limit: self.plan.experiment.max_failures,
        };
        let resumed = held.len() as u64;
        let total: u64 = self.cells.iter().map(|cell| self.count(cell)).sum();
        let counter = AtomicU64::new(resumed);
        let made = Mutex::new(held);
        for model in &self.plan.models {
            let cells = self.cells.iter().filter(|cell| cell.model == model.name);
            let items: Vec<(&Cell, u64)> = cells
                .flat_map(|cell| self.cases(cell).map(move |case| (cell, case)))
                .filter(|(_, case)| !done.contains(case))
                .map(|(cell, case)| (cell, case.index))
                .collect();
            crew.work(&model.name, &items, |bench, ready, queue| {
                let digest = VisionLanguageModel::info(&ready.client())?.digest;
                check_digest(&lock(&made), &model.name, &digest)?;
                let desk = Desk {
                    stage: self,
                    queue,
                    journal,
                    made: &made,
                    failures: &failures,
                    counter: &counter,
                    total,
                    digest,
                };
                work(bench, ready, &desk)
            })?;
        }
        let records = in_order(
            self.cells,
            made.into_inner().unwrap_or_else(PoisonError::into_inner),
        );
        Ok(StageResult {
            finished: Finished {
                resumed,
                samples: total,
                failed: failed(&records),
            },
            records,
        })
    }
}

impl Stage<'_> {
    /// How many samples of a cell are done here.
    fn count(&self, cell: &Cell) -> u64 {
        let places = self.part.places(self.phase, cell);
        places.end - places.start
    }

    /// Those samples.
    fn cases(&self, cell: &Cell) -> impl Iterator<Item = CaseKey> {
        let places = self.part.places(self.phase, cell);
        places.map(|place| cell.case(cell.index(place)))
    }
}

impl<'a, R: Recorded + Serialize + DeserializeOwned> Desk<'a, R> {
    /// The next sample, if there is one.
    pub fn next(&self) -> Option<(&'a Cell, u64)> {
        self.queue.next()
    }

    /// Writes down what came of a sample.
    ///
    /// # Errors
    ///
    /// The disk fails, or too many samples failed.
    pub fn put(&self, record: R) -> Result<()> {
        self.journal.append(&record)?;
        let failed = self.failures.add(&record);
        lock(self.made).push(record);
        failed?;
        self.stage.session.show(&Progress {
            component: Progress::RUN,
            done: self.counter.fetch_add(1, Ordering::Relaxed) + 1,
            total: self.total,
            note: self.stage.note,
        });
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Results of one model, as its name says, are of the same weights.
pub(super) fn check_digest<R: Recorded>(records: &[R], model: &str, digest: &str) -> Result<()> {
    let other = records
        .iter()
        .find(|r| r.case().model == model && r.model_digest() != digest);
    match other {
        None => Ok(()),
        Some(record) => Err(Error::invalid(format!(
            "model `{model}` has digest {digest}, but the journal's results are of one with {}",
            record.model_digest()
        ))
        .with_hint("restore the checkpoint, or choose another `experiment.out`")),
    }
}

struct Failures {
    count: AtomicU64,
    limit: u64,
}

impl Failures {
    fn add(&self, record: &impl Recorded) -> Result<()> {
        let Some(error) = record.error() else {
            return Ok(());
        };
        let count = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        if count <= self.limit {
            return Ok(());
        }
        let case = record.case();
        Err(Error::invalid(format!(
            "{count} samples failed, the last one, {} of {}, with: {error}",
            case.index, case.dataset
        ))
        .with_hint(
            "mend that, or raise `experiment.max_failures`, and run again with --retry-failed",
        ))
    }
}
