//! The part of an experiment that one process does: all of it, or one shard.

use std::{
    collections::HashMap,
    fs,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use medfocus_plugin_api::{Error, Result};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    journal::{Form, Journal, Source},
    owner::Owner,
    phase::Phase,
    plan::{Cell, Plan},
    record::{CaseKey, Recorded},
    results::{self, in_order},
    roll::Roll,
    shards::{self, Shard, Shards},
};
use crate::output::{OutDir, failed};

/// What a process does of a plan, and where it writes it down.
pub struct Part<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// The folder of the results.
    pub folder: OutDir,
    own: Option<Own>,
}

/// A shard of this process's own.
struct Own {
    shard: Shard,
    shards: Shards,
    folder: OutDir,
    owner: Arc<Owner>,
}

impl<'a> Part<'a> {
    /// All of a plan, or a shard. A shard that `medfocus plan` did not cut is cut as if all samples cost the same.
    ///
    /// # Errors
    ///
    /// Another process does the shard, it was cut for other samples, or the disk fails.
    pub fn new(plan: &'a Plan, shard: Option<Shard>) -> Result<Self> {
        let folder = OutDir::create(plan.folder())?;
        let own = shard
            .map(|shard| Own::claim(plan, &folder, shard))
            .transpose()?;
        Ok(Self { plan, folder, own })
    }

    /// Whether it is all of the plan.
    pub fn is_all(&self) -> bool {
        self.own.is_none()
    }

    /// Which places of a cell are its own in a phase.
    pub(super) fn places(&self, phase: Phase, cell: &Cell) -> Range<u64> {
        match &self.own {
            None => 0..cell.samples,
            Some(own) => own.shards.places(own.shard.number, phase, cell),
        }
    }

    /// The journal of a phase, with what it holds; a shard also finds what is its own in the journals of others.
    pub(super) fn journal<R: Recorded + Serialize + DeserializeOwned>(
        &self,
        phase: Phase,
    ) -> Result<(Journal<R>, Vec<R>)> {
        let cells = phase.cells(self.plan);
        self.lines(phase, |record: &R| {
            let case = record.case();
            let cell = cells.iter().find(|cell| cell.is_of(case));
            cell.is_some_and(|cell| {
                let place = cell.place(case.index);
                place.is_some_and(|place| self.places(phase, cell).contains(&place))
            })
        })
    }

    /// The same of lines of any kind, of which a shard keeps some.
    pub(super) fn lines<T: Serialize + DeserializeOwned>(
        &self,
        phase: Phase,
        keep: impl Fn(&T) -> bool,
    ) -> Result<(Journal<T>, Vec<T>)> {
        let Some(own) = &self.own else {
            return Journal::open(&self.folder.path().join(phase.journal()));
        };
        let path = sealed(own.folder.path(), phase);
        let journal = Journal::owned(&path, own.owner.clone())?;
        let mut held = Vec::new();
        for source in sources(&self.folder, self.plan, phase)? {
            source.each(|line, _| {
                if keep(&line) {
                    held.push(line);
                }
                Ok(())
            })?;
        }
        Ok((journal, held))
    }

    /// The records of a phase about the cells that this part has to do with, once every shard has done its own; of a part that
    /// is all, what it made.
    pub(super) fn gather<R: Recorded + DeserializeOwned>(
        &self,
        phase: Phase,
        made: Vec<R>,
    ) -> Result<Gathered<R>> {
        if self.is_all() {
            return Ok(Gathered::Whole(made));
        }
        let cells = phase.cells(self.plan);
        let mut roll = Roll::new(&cells);
        let mut found: HashMap<CaseKey, R> = HashMap::new();
        for source in sources(&self.folder, self.plan, phase)? {
            source.each(|record: R, _| {
                let case = record.case();
                if roll.call(case) && (phase == Phase::Tuning || self.meets(case)) {
                    let known = found.get(case);
                    if known.is_none_or(|known| replaces(known, &record)) {
                        found.insert(case.clone(), record);
                    }
                }
                Ok(())
            })?;
        }
        Ok(match roll.missing() {
            0 => Gathered::Whole(in_order(&cells, found.into_values().collect())),
            missing => Gathered::Waiting(phase, missing),
        })
    }

    /// Whether a sample is of a cell of which it still explains or checks some.
    fn meets(&self, case: &CaseKey) -> bool {
        let mut cells = self.plan.cells.iter().filter(|cell| cell.is_of(case));
        cells.any(|cell| {
            let some = |phase| !self.places(phase, cell).is_empty();
            some(Phase::Explain) || some(Phase::Sanity)
        })
    }
}

/// The records of a phase.
pub(super) enum Gathered<R> {
    /// All that there are to be.
    Whole(Vec<R>),
    /// So many are still to come.
    Waiting(Phase, u64),
}

/// Whether a later record of a sample stands for an earlier one: unless it alone failed.
pub(super) fn replaces<R: Recorded>(earlier: &R, later: &R) -> bool {
    later.error().is_none() || earlier.error().is_some()
}

impl Own {
    fn claim(plan: &Plan, out: &OutDir, shard: Shard) -> Result<Self> {
        // Nothing of another experiment lies beside it.
        sources(out, plan, Phase::Explain)?;
        let all = out.within(&[results::SHARDS, &shard.of.to_string()])?;
        let shards = match Shards::read(all.path(), plan)? {
            Some(shards) if shards.covers(plan) => shards,
            Some(_) => {
                let path = all.path().join(shards::MANIFEST);
                let message = format!("{} was cut for other samples", path.display());
                return Err(Error::invalid(message).with_hint(format!(
                    "cut anew with `medfocus plan CONFIG --shards {}`; what is done stays",
                    shard.of
                )));
            }
            None => {
                let shards = Shards::even(plan, shard.of)?;
                all.json(shards::MANIFEST, &shards)?;
                shards
            }
        };
        let folder = all.within(&[&shard.number.to_string()])?;
        let owner = Owner::claim(folder.path())?;
        Ok(Self {
            shard,
            shards,
            folder,
            owner,
        })
    }
}

/// All files that hold records of a phase: the journal of the results, then those of all shards.
///
/// # Errors
///
/// A manifest is of another experiment or version, or the disk fails.
pub(super) fn sources(folder: &OutDir, plan: &Plan, phase: Phase) -> Result<Vec<Source>> {
    let mut sources = vec![Source {
        path: folder.path().join(phase.journal()),
        form: Form::Plain,
    }];
    let all = folder.path().join(results::SHARDS);
    for (_, cut) in numbered(&all)? {
        if Shards::read(&cut, plan)?.is_some() {
            sources.extend(numbered(&cut)?.into_iter().map(|(_, shard)| Source {
                path: sealed(&shard, phase),
                form: Form::Sealed,
            }));
        }
    }
    Ok(sources)
}

/// The journal of a phase in the folder of a shard.
fn sealed(folder: &Path, phase: Phase) -> PathBuf {
    folder.join(phase.journal()).with_extension("sealed")
}

/// The entries of a folder whose names are numbers, in their order.
pub(super) fn numbered(folder: &Path) -> Result<Vec<(u32, PathBuf)>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|error| failed("read", folder, &error))?,
    };
    let numbered = entries.flatten().filter_map(|entry| {
        let number = entry.file_name().to_str()?.parse().ok()?;
        Some((number, entry.path()))
    });
    let mut numbered: Vec<_> = numbered.collect();
    numbered.sort();
    Ok(numbered)
}

/// What there is of the results of an earlier run in the folder may stand beside this plan's.
pub(super) fn record_plan(part: &Part<'_>) -> Result<()> {
    if let Some(earlier) = results::plan_of_results(part.folder.path())? {
        part.plan.check_continues(&earlier)?;
    }
    part.folder.json(results::PLAN, part.plan)?;
    Ok(())
}
