//! What shards did, joined into the journals that one process would have written.
//!
//! Records are copied as they stand. Only where each one lies is held in memory.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs::File,
    io::{self, Write},
    os::unix::fs::FileExt,
};

use medfocus_plugin_api::{Error, Result};
use serde::de::DeserializeOwned;

use super::{
    journal::{self, Span},
    part::{Source, numbered, sources},
    phase::Phase,
    plan::{Cell, Plan},
    record::{CaseKey, Change, Outcome, Record, Recorded, SanityOutcome, SanityRecord},
    results,
    roll::Roll,
    sanity,
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
    let filter = Index::of::<FilterRecord>(&folder, plan, Phase::Filter, |_| false)?;
    let tuning = Index::of::<Record>(&folder, plan, Phase::Tuning, |_| false)?;
    let explained = Index::of(&folder, plan, Phase::Explain, |record: &Record| {
        matches!(record.outcome, Outcome::Attributed { .. })
    })?;
    let checks = Checks::of(&folder, plan, &explained)?;
    let missing = [&filter, &tuning, &explained];
    let missing = missing
        .into_iter()
        .filter_map(|index| index.missing(plan, &folder).transpose());
    let mut missing: Vec<String> = missing.collect::<Result<_>>()?;
    missing.extend(checks.missing());
    if !partial && !missing.is_empty() {
        return Err(Error::missing(missing.join(", and ")).with_hint(
            "run these shards once more with `medfocus run CONFIG --shard I/N`, or merge what there is with --partial",
        ));
    }
    folder.json(results::PLAN, plan)?;
    filter.write(&folder)?;
    tuning.write(&folder)?;
    explained.write(&folder)?;
    checks.write(&folder)?;
    if tuning.is_whole() {
        let records: Vec<Record> = journal::read(&folder.path().join(results::TUNING))?;
        tuning::write(&folder, plan, &tuning::choose(plan, &records)?)?;
    }
    if let Some(filter) = &plan.experiment.filter {
        let records: Vec<FilterRecord> = journal::read(&folder.path().join(results::FILTER))?;
        let rule = Rule::new(filter, plan.experiment.verdict);
        published::write(&folder, &records, rule)?;
    }
    let counted = match plan.methods.is_empty() {
        true => &filter,
        false => &explained,
    };
    Ok(Merged {
        samples: counted.entries().count() as u64,
        failed: counted.entries().filter(|entry| entry.failed).count() as u64,
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
    let indices = [
        Index::of::<FilterRecord>(&folder, plan, Phase::Filter, |_| false)?,
        Index::of::<Record>(&folder, plan, Phase::Tuning, |_| false)?,
        Index::of::<Record>(&folder, plan, Phase::Explain, |_| false)?,
    ];
    let indices = indices.iter().filter(|index| !index.cells.is_empty());
    let counted = indices.map(|index| {
        let all = index.entries.iter().map(Vec::len).sum::<usize>();
        (index.phase, index.entries().count() as u64, all as u64)
    });
    Ok(counted.collect())
}

/// Where the record of each sample of a phase lies.
struct Index {
    phase: Phase,
    cells: Vec<Cell>,
    sources: Vec<Source>,
    entries: Vec<Vec<Option<Entry>>>,
}

#[derive(Clone, Copy)]
struct Entry {
    source: u32,
    span: Span,
    failed: bool,
    /// Whether it is one of those that were asked for.
    marked: bool,
}

impl Index {
    fn of<R: Recorded + DeserializeOwned>(
        folder: &OutDir,
        plan: &Plan,
        phase: Phase,
        mark: impl Fn(&R) -> bool,
    ) -> Result<Self> {
        let cells = in_order_of_models(plan, phase.cells(plan));
        let sources = sources(folder, plan, phase)?;
        let roll = Roll::new(&cells);
        let empty = cells.iter().map(|cell| vec![None; cell.samples as usize]);
        let mut entries: Vec<Vec<Option<Entry>>> = empty.collect();
        let mut digests: HashMap<String, String> = HashMap::new();
        for (number, source) in sources.iter().enumerate() {
            source.each(|record: R, span| {
                let case = record.case();
                let Some((cell, place)) = roll.find(case) else {
                    return Ok(());
                };
                match digests.get(&case.model) {
                    None => {
                        digests.insert(case.model.clone(), record.model_digest().to_owned());
                    }
                    Some(digest) if digest != record.model_digest() => {
                        return Err(two_models(source, &case.model, digest, &record));
                    }
                    Some(_) => {}
                }
                let failed = record.error().is_some();
                let entry = &mut entries[cell][place];
                if entry.is_none_or(|earlier| !failed || earlier.failed) {
                    *entry = Some(Entry {
                        source: number as u32,
                        span,
                        failed,
                        marked: mark(&record),
                    });
                }
                Ok(())
            })?;
        }
        drop(roll);
        Ok(Self {
            phase,
            cells,
            sources,
            entries,
        })
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().flatten().flatten()
    }

    fn is_whole(&self) -> bool {
        self.entries.iter().flatten().all(Option::is_some)
    }

    /// How many samples are missing, and whose they are.
    fn missing(&self, plan: &Plan, folder: &OutDir) -> Result<Option<String>> {
        let cells = self.cells.iter().zip(&self.entries);
        let absent = cells.flat_map(|(cell, entries)| {
            let places = entries
                .iter()
                .enumerate()
                .filter(|(_, entry)| entry.is_none());
            places.map(move |(place, _)| (cell, place as u64))
        });
        let absent: Vec<(&Cell, u64)> = absent.collect();
        if absent.is_empty() {
            return Ok(None);
        }
        let count = absent.len();
        let what = format!("{count} samples of {} are missing", self.phase.words());
        let mut whose = String::new();
        for (of, cut) in numbered(&folder.path().join(results::SHARDS))? {
            let Some(shards) = Shards::read(&cut, plan)?.filter(|shards| shards.covers(plan))
            else {
                continue;
            };
            let pieces = shards
                .pieces
                .iter()
                .filter(|piece| piece.phase == self.phase);
            let hit = pieces.filter(|piece| {
                absent.iter().any(|(cell, place)| {
                    (&piece.dataset, &piece.model, piece.mode)
                        == (&cell.dataset, &cell.model, cell.mode)
                        && (piece.from..piece.to).contains(place)
                })
            });
            let numbers: BTreeSet<u32> = hit.map(|piece| piece.shard).collect();
            let numbers: Vec<String> = numbers.iter().map(u32::to_string).collect();
            whose = format!(" (shards {} of {of})", numbers.join(", "));
        }
        Ok(Some(what + &whose))
    }

    fn write(&self, folder: &OutDir) -> Result<()> {
        if self.cells.is_empty() {
            return Ok(());
        }
        let mut copy = Copy {
            sources: &self.sources,
            open: None,
            line: Vec::new(),
        };
        folder.write(self.phase.journal(), |out| {
            self.entries().try_for_each(|entry| copy.line(entry, out))
        })?;
        Ok(())
    }

    /// The samples of a cell that were marked, the first ones.
    fn marked(&self, cell: &Cell, count: u64) -> Vec<CaseKey> {
        let same = |own: &&Cell| {
            (&own.dataset, &own.model, own.mode) == (&cell.dataset, &cell.model, cell.mode)
        };
        let Some(number) = self.cells.iter().position(|own| same(&own)) else {
            return Vec::new();
        };
        let places = self.entries[number].iter().enumerate();
        let marked = places.filter(|(_, entry)| entry.is_some_and(|entry| entry.marked));
        let own = &self.cells[number];
        let cases = marked.map(|(place, _)| own.case(own.index(place as u64)));
        cases.take(count as usize).collect()
    }
}

/// Copies lines; keeps the file of the last one open.
struct Copy<'a> {
    sources: &'a [Source],
    open: Option<(u32, File)>,
    line: Vec<u8>,
}

impl Copy<'_> {
    fn line(&mut self, entry: &Entry, out: &mut dyn Write) -> io::Result<()> {
        let file = match self.open.take() {
            Some((source, file)) if source == entry.source => file,
            _ => File::open(&self.sources[entry.source as usize].path)?,
        };
        self.line.resize(entry.span.length as usize, 0);
        file.read_exact_at(&mut self.line, entry.span.begin)?;
        self.open = Some((entry.source, file));
        out.write_all(&self.line)?;
        out.write_all(b"\n")
    }
}

/// The sanity checks, of which there are few.
struct Checks {
    /// What is wanted, in its order, each with what there is of it.
    lines: Vec<Option<Vec<SanityRecord>>>,
    /// Whether any were wanted.
    wanted: bool,
}

impl Checks {
    fn of(folder: &OutDir, plan: &Plan, explained: &Index) -> Result<Self> {
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
