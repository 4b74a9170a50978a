//! The folder of an experiment's results, and how to read it back.

use std::{
    collections::{HashMap, HashSet},
    fs,
    path::Path,
};

use medfocus_plugin_api::{Error, Result};
use serde::de::DeserializeOwned;

use super::{
    index::Index,
    journal::{self, Form, Source},
    plan::{Cell, Plan, Tuned},
    record::{CaseKey, Outcome, Record, Recorded, SanityRecord},
};
use crate::{causal::record::FilterRecord, output::failed};

/// The [`Plan`].
pub const PLAN: &str = "plan.json";
/// A [`Record`] a line.
pub const JOURNAL: &str = "journal.jsonl";
/// A [`FilterRecord`] a line.
pub const FILTER: &str = "filter.jsonl";
/// Folder of the edited images.
pub const EDITS: &str = "edits";
/// The same as [`JOURNAL`] of the tuning split.
pub const TUNING: &str = "tuning.jsonl";
/// The parameters that were chosen: a list of [`Tuned`].
pub const TUNED: &str = "tuned.json";
/// The [`SanityRecord`]s of one sample and change a line.
pub const SANITY: &str = "sanity.jsonl";
/// Folder of what shards did.
pub const SHARDS: &str = "shards";

/// All that an experiment found; of the samples, where it is written.
pub struct Results {
    /// What was to be done.
    pub plan: Plan,
    /// What the causal filter found of each sample, in the plan's order.
    pub filter: Index<FilterRecord>,
    /// What came of each sample, in the plan's order.
    pub records: Index<Record>,
    /// The parameters that were chosen.
    pub tuned: Vec<Tuned>,
    /// What came of the sanity checks, of which there are few.
    pub sanity: Vec<SanityRecord>,
}

impl Results {
    /// Reads a result folder, finished or not. Its journals stay where they are.
    ///
    /// # Errors
    ///
    /// It holds no plan, or a file in it cannot be read.
    pub fn read(folder: &Path) -> Result<Self> {
        let plan: Option<Plan> = read_json(&folder.join(PLAN))?;
        let plan = plan.ok_or_else(|| {
            Error::missing(format!("{} holds no {PLAN}", folder.display()))
                .with_hint("name the folder of an experiment's results")
        })?;
        let source = |name| {
            vec![Source {
                path: folder.join(name),
                form: Form::Plain,
            }]
        };
        let records = Index::new(plan.cells.clone(), source(JOURNAL), |record: &Record, _| {
            Ok(matches!(record.outcome, Outcome::Attributed { .. }))
        })?;
        let filter = Index::new(plan.cells.clone(), source(FILTER), |_, _| Ok(false))?;
        let mut sanity = latest(journal::read(&folder.join(SANITY))?);
        if let Some(wanted) = &plan.experiment.sanity {
            // A sample was checked in place of one that had failed, until that was done again.
            let cells = plan.cells.iter();
            let checked: HashSet<CaseKey> = cells
                .flat_map(|cell| records.marked(cell, wanted.samples))
                .collect();
            sanity.retain(|record| checked.contains(&record.case));
        }
        Ok(Self {
            filter,
            tuned: read_json(&folder.join(TUNED))?.unwrap_or_default(),
            records,
            sanity,
            plan,
        })
    }
}

/// The records of sanity checks; of two lines about the same sample and change the later.
fn latest(lines: Vec<Vec<SanityRecord>>) -> Vec<SanityRecord> {
    let subject = |line: &[SanityRecord]| Some((line.first()?.case.clone(), line.first()?.change));
    let numbered = lines.iter().enumerate();
    let last: HashMap<_, _> = numbered.map(|(at, line)| (subject(line), at)).collect();
    let numbered = lines.into_iter().enumerate();
    let valid = numbered.filter(|(at, line)| last[&subject(line)] == *at);
    valid.flat_map(|(_, line)| line).collect()
}

/// The plan by which there are results in a folder; nothing where a plan is all there is.
///
/// # Errors
///
/// The plan cannot be read.
pub fn plan_of_results(folder: &Path) -> Result<Option<Plan>> {
    let holds = |name: &&str| fs::metadata(folder.join(name)).is_ok_and(|file| file.len() > 0);
    let journals = [JOURNAL, FILTER, TUNING, SANITY];
    match journals.iter().any(holds) || folder.join(SHARDS).is_dir() {
        true => read_json(&folder.join(PLAN)),
        false => Ok(None),
    }
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let bytes = match std::fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        bytes => bytes.map_err(|error| failed("read", path, &error))?,
    };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| {
        Error::invalid(format!("{} cannot be read: {error}", path.display()))
            .with_hint("another version wrote it; choose another `experiment.out`")
    })
}

/// The records that belong to these cells, in their order; of two of the same sample the later.
pub(super) fn in_order<R: Recorded>(cells: &[Cell], records: Vec<R>) -> Vec<R> {
    let mut latest: HashMap<CaseKey, R> = records
        .into_iter()
        .map(|record| (record.case().clone(), record))
        .collect();
    let cases = cells.iter().flat_map(Cell::cases);
    cases.filter_map(|case| latest.remove(&case)).collect()
}
