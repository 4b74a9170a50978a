//! What shards did, joined into the journals that one process would have written.
//!
//! Records are copied as they stand. Only where each one lies is held in memory.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Range,
};

use medfocus_plugin_api::{Error, Result};
use serde::de::DeserializeOwned;

use super::{
    index::Index,
    journal::{self, Source},
    part::{numbered, sources},
    phase::Phase,
    plan::{Cell, Plan},
    record::{CaseKey, Change, Outcome, Record, Recorded, SanityOutcome, SanityRecord},
    results, sanity,
    shards::Shards,
    tuning,
};
use crate::{
    causal::{
        published,
        record::{FilterRecord, Rule},
    },
    output::OutDir,
};

/// What came of joining.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// Samples of the plan that have a record.
    pub samples: u64,
    /// Of these, the ones that failed, wholly or in a method.
    pub failed: u64,
    /// What is missing, a sentence a phase.
    pub missing: Vec<String>,
}

/// Joins the journals of all shards, and that of the results if there is one, into the latter.
///
/// # Errors
///
/// A line is damaged, shards are of another experiment or of two models of one name, or samples are missing that nobody said
/// may be. Then nothing is changed.
pub fn merge(plan: &Plan, partial: bool) -> Result<Merged> {
    let folder = OutDir::create(plan.folder())?;
    if let Some(earlier) = results::plan_of_results(folder.path())? {
        plan.check_continues(&earlier)?;
    }
    let _lock = journal::lock(&folder.path().join(results::JOURNAL))?;
    let filter = index::<FilterRecord>(&folder, plan, Phase::Filter, |_| false)?;
    let tuning = index::<Record>(&folder, plan, Phase::Tuning, |_| false)?;
    let explained = index(&folder, plan, Phase::Explain, |record: &Record| {
        matches!(record.outcome, Outcome::Attributed { .. })
    })?;
    let checks = Checks::of(&folder, plan, &explained)?;
    let missing = [
        missing(plan, &folder, Phase::Filter, &filter)?,
        missing(plan, &folder, Phase::Tuning, &tuning)?,
        missing(plan, &folder, Phase::Explain, &explained)?,
        checks.missing(),
    ];
    let missing: Vec<String> = missing.into_iter().flatten().collect();
    if !partial && !missing.is_empty() {
        return Err(Error::missing(missing.join(", and ")).with_hint(
            "run these shards once more with `medfocus run CONFIG --shard I/N`, or merge what there is with --partial",
        ));
    }
    folder.json(results::PLAN, plan)?;
    // Before the files are replaced that some of the records lie in.
    if tuning.missing().next().is_none() {
        let records: Vec<Record> = tuning
            .all(&Phase::Tuning.cells(plan))
            .collect::<Result<_>>()?;
        tuning::write(&folder, plan, &tuning::choose(plan, &records)?)?;
    }
    if let Some(wanted) = &plan.experiment.filter {
        let rule = Rule::new(wanted, plan.experiment.verdict);
        let records = || filter.all(&plan.cells).map(|record| record.map(Cow::Owned));
        published::write(&folder, records, rule)?;
    }
    write(&folder, plan, Phase::Filter, &filter)?;
    write(&folder, plan, Phase::Tuning, &tuning)?;
    write(&folder, plan, Phase::Explain, &explained)?;
    checks.write(&folder)?;
    let (samples, failed) = match plan.methods.is_empty() {
        true => (filter.len(), filter.failed()),
        false => (explained.len(), explained.failed()),
    };
    Ok(Merged {
        samples,
        failed,
        missing,
    })
}

/// How many samples of each phase there are by now, and how many there are to be; the sanity checks aside.
///
/// # Errors
///
/// Those of [`merge`].
pub fn progress(plan: &Plan) -> Result<Vec<(Phase, u64, u64)>> {
    let folder = OutDir::create(plan.folder())?;
    let filter = index::<FilterRecord>(&folder, plan, Phase::Filter, |_| false)?.len();
    let tuning = index::<Record>(&folder, plan, Phase::Tuning, |_| false)?.len();
    let explained = index::<Record>(&folder, plan, Phase::Explain, |_| false)?.len();
    let counted = [
        (Phase::Filter, filter),
        (Phase::Tuning, tuning),
        (Phase::Explain, explained),
    ];
    let all = |phase: Phase| phase.cells(plan).iter().map(|cell| cell.samples).sum();
    let counted = counted.map(|(phase, there)| (phase, there, all(phase)));
    let some = |phase: &Phase| !phase.cells(plan).is_empty();
    Ok(Vec::from_iter(
        counted.into_iter().filter(|(phase, ..)| some(phase)),
    ))
}

/// Where the record of each sample of a phase lies; all of a model are of the same weights.
fn index<R: Recorded + DeserializeOwned>(
    folder: &OutDir,
    plan: &Plan,
    phase: Phase,
    mark: impl Fn(&R) -> bool,
) -> Result<Index<R>> {
    let cells = in_order_of_models(plan, phase.cells(plan));
    let mut digests: HashMap<String, String> = HashMap::new();
    Index::new(
        cells,
        sources(folder, plan, phase)?,
        |record: &R, source| {
            let model = &record.case().model;
            match digests.get(model) {
                None => {
                    digests.insert(model.clone(), record.model_digest().to_owned());
                }
                Some(digest) if digest != record.model_digest() => {
                    return Err(two_models(source, model, digest, record));
                }
                Some(_) => {}
            }
            Ok(mark(record))
        },
    )
}

/// How many samples of a phase are missing, and whose they are.
fn missing<R: Recorded + DeserializeOwned>(
    plan: &Plan,
    folder: &OutDir,
    phase: Phase,
    index: &Index<R>,
) -> Result<Option<String>> {
    let absent: Vec<(&Cell, Range<u64>)> = index.missing().collect();
    if absent.is_empty() {
        return Ok(None);
    }
    let count: u64 = absent.iter().map(|(_, gap)| gap.end - gap.start).sum();
    let what = format!("{count} samples of {} are missing", phase.words());
    let mut whose = String::new();
    for (of, cut) in numbered(&folder.path().join(results::SHARDS))? {
        let Some(shards) = Shards::read(&cut, plan)?.filter(|shards| shards.covers(plan)) else {
            continue;
        };
        let pieces = shards.pieces.iter().filter(|piece| piece.phase == phase);
        let hit = pieces.filter(|piece| {
            absent.iter().any(|(cell, gap)| {
                (&piece.dataset, &piece.model, piece.mode)
                    == (&cell.dataset, &cell.model, cell.mode)
                    && piece.from < gap.end
                    && gap.start < piece.to
            })
        });
        let numbers: BTreeSet<u32> = hit.map(|piece| piece.shard).collect();
        let numbers: Vec<String> = numbers.iter().map(u32::to_string).collect();
        whose = format!(" (shards {} of {of})", numbers.join(", "));
    }
    Ok(Some(what + &whose))
}

fn write<R: Recorded + DeserializeOwned>(
    folder: &OutDir,
    plan: &Plan,
    phase: Phase,
    index: &Index<R>,
) -> Result<()> {
    if !phase.cells(plan).is_empty() {
        folder.write(phase.journal(), |out| index.write(out))?;
    }
    Ok(())
}

/// The sanity checks, of which there are few.
struct Checks {
    /// What is wanted, in its order, each with what there is of it.
    lines: Vec<Option<Vec<SanityRecord>>>,
    /// Whether any were wanted.
    wanted: bool,
}

impl Checks {
    fn of(folder: &OutDir, plan: &Plan, explained: &Index<Record>) -> Result<Self> {
        let Some(wanted) = &plan.experiment.sanity else {
            return Ok(Self {
                lines: Vec::new(),
                wanted: false,
            });
        };
        let failed = |line: &[SanityRecord]| {
            let failed = |r: &SanityRecord| matches!(r.outcome, SanityOutcome::Failed { .. });
            line.iter().any(failed)
        };
        let mut found: HashMap<(CaseKey, Change), Vec<SanityRecord>> = HashMap::new();
        for source in sources(folder, plan, Phase::Sanity)? {
            source.each(|line: Vec<SanityRecord>, _| {
                let Some(first) = line.first() else {
                    return Ok(());
                };
                let subject = (first.case.clone(), first.change);
                let known = found.get(&subject);
                if known.is_none_or(|known| !failed(&line) || failed(known)) {
                    found.insert(subject, line);
                }
                Ok(())
            })?;
        }
        let cells = Phase::Sanity.cells(plan);
        let mut lines = Vec::new();
        for model in &plan.models {
            for change in sanity::changes(wanted) {
                for cell in cells.iter().filter(|cell| cell.model == model.name) {
                    let cases = explained.marked(cell, wanted.samples).into_iter();
                    lines.extend(cases.map(|case| found.remove(&(case, change))));
                }
            }
        }
        Ok(Self {
            lines,
            wanted: true,
        })
    }

    fn missing(&self) -> Option<String> {
        let missing = self.lines.iter().filter(|line| line.is_none()).count();
        let words = Phase::Sanity.words();
        (missing > 0).then(|| format!("{missing} of {words} are missing"))
    }

    fn write(&self, folder: &OutDir) -> Result<()> {
        if !self.wanted {
            return Ok(());
        }
        folder.write(results::SANITY, |out| {
            self.lines.iter().flatten().try_for_each(|line| {
                serde_json::to_writer(&mut *out, line)?;
                out.write_all(b"\n")
            })
        })?;
        Ok(())
    }
}

/// The order in which one process does them.
fn in_order_of_models(plan: &Plan, cells: Vec<Cell>) -> Vec<Cell> {
    let order: BTreeMap<&str, usize> = plan
        .models
        .iter()
        .enumerate()
        .map(|(at, model)| (model.name.as_str(), at))
        .collect();
    let mut cells = cells;
    cells.sort_by_key(|cell| order.get(cell.model.as_str()).copied());
    cells
}

fn two_models(source: &Source, model: &str, digest: &str, record: &impl Recorded) -> Error {
    Error::invalid(format!(
        "{} holds results of a model `{model}` with digest {}, but others are of one with {digest}",
        source.path.display(),
        record.model_digest()
    ))
    .with_hint("delete the results of the wrong one, and do its work again")
}
