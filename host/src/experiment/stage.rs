//! Cells whose samples go to one journal, done by as many workers as wanted.

use std::{
    collections::{BTreeMap, HashSet, btree_map::Entry},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use medfocus_plugin_api::{Error, Result, VisionLanguageModel};

use super::{
    case::Scene,
    journal::Journal,
    plan::{Cell, Plan},
    record::{CaseKey, Record},
    results::in_order,
    workers::{Crew, Queue},
};
use crate::{
    output::OutDir,
    plugin::Progress,
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

/// Makes the methods of a cell around a worker's model.
type MakeMethods<'a> =
    &'a (dyn Fn(&Cell, &Ready, &Workbench) -> Result<Vec<(String, Ready)>> + Sync);

/// Cells whose samples go to one journal.
pub(super) struct Stage<'a> {
    pub bench: &'a Workbench,
    pub plan: &'a Plan,
    /// Where pictures and maps go, if any are wanted.
    pub folder: Option<&'a OutDir>,
    pub cells: &'a [Cell],
    /// What progress counts.
    pub note: &'a str,
    pub methods: MakeMethods<'a>,
}

pub(super) struct StageResult {
    /// All records, in the order of the cells.
    pub records: Vec<Record>,
    pub finished: Finished,
}

impl Stage<'_> {
    /// Does what the journal lacks.
    pub fn run(
        &self,
        crew: &mut Crew,
        journal: &Journal<Record>,
        held: Vec<Record>,
        retry_failed: bool,
    ) -> Result<StageResult> {
        let mut held = in_order(self.cells, held);
        if retry_failed {
            held.retain(|record| !record.failed());
        }
        let done: HashSet<CaseKey> = held.iter().map(|r| r.case.clone()).collect();
        let failures = Failures {
            count: AtomicU64::new(held.iter().filter(|record| record.failed()).count() as u64),
            limit: self.plan.experiment.max_failures,
        };
        let resumed = held.len() as u64;
        let total: u64 = self.cells.iter().map(|cell| cell.samples).sum();
        let counter = AtomicU64::new(resumed);
        let made = Mutex::new(held);
        for model in &self.plan.models {
            let cells = self.cells.iter().filter(|cell| cell.model == model.name);
            let items: Vec<(&Cell, u64)> = cells
                .flat_map(|cell| cell.cases().map(move |case| (cell, case)))
                .filter(|(_, case)| !done.contains(case))
                .map(|(cell, case)| (cell, case.index))
                .collect();
            let work = |bench: &Workbench, ready: &Ready, queue: &Queue<'_, (&Cell, u64)>| {
                let digest = VisionLanguageModel::info(&ready.client())?.digest;
                check_digest(
                    &made.lock().unwrap_or_else(PoisonError::into_inner),
                    &model.name,
                    &digest,
                )?;
                let mut scenes: BTreeMap<String, Scene<'_>> = BTreeMap::new();
                while let Some((cell, index)) = queue.next() {
                    let scene = match scenes.entry(cell.slug()) {
                        Entry::Occupied(entry) => entry.into_mut(),
                        Entry::Vacant(entry) => {
                            let methods = (self.methods)(cell, ready, bench)?;
                            entry.insert(Scene::new(
                                bench,
                                self.plan,
                                cell,
                                ready,
                                methods,
                                self.folder,
                            )?)
                        }
                    };
                    let record = scene.record(index)?;
                    journal.append(&record)?;
                    let failed = failures.add(&record);
                    made.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(record);
                    failed?;
                    self.bench.session.show(&Progress {
                        component: Progress::RUN,
                        done: counter.fetch_add(1, Ordering::Relaxed) + 1,
                        total,
                        note: self.note,
                    });
                }
                Ok(())
            };
            crew.work(&model.name, &items, work)?;
        }
        let records = in_order(
            self.cells,
            made.into_inner().unwrap_or_else(PoisonError::into_inner),
        );
        let failed = records.iter().filter(|record| record.failed()).count() as u64;
        Ok(StageResult {
            finished: Finished {
                resumed,
                samples: total,
                failed,
            },
            records,
        })
    }
}

/// Results of one model, as its name says, are of the same weights.
pub(super) fn check_digest(records: &[Record], model: &str, digest: &str) -> Result<()> {
    let other = records
        .iter()
        .find(|r| r.case.model == model && r.model_digest != digest);
    match other {
        None => Ok(()),
        Some(record) => Err(Error::invalid(format!(
            "model `{model}` has digest {digest}, but the journal's results are of one with {}",
            record.model_digest
        ))
        .with_hint("restore the checkpoint, or choose another `experiment.out`")),
    }
}

struct Failures {
    count: AtomicU64,
    limit: u64,
}

impl Failures {
    fn add(&self, record: &Record) -> Result<()> {
        let Some(error) = record.error() else {
            return Ok(());
        };
        let count = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        if count <= self.limit {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "{count} samples failed, the last one, {} of {}, with: {error}",
            record.case.index, record.case.dataset
        ))
        .with_hint(
            "mend that, or raise `experiment.max_failures`, and run again with --retry-failed",
        ))
    }
}
