//! Runs a plan: every sample that is not in the journal yet.

use std::borrow::Cow;

use medfocus_plugin_api::{Error, Result};

use super::{
    cast::chosen_methods,
    explaining::Explaining,
    filtered::Filtered,
    filtering,
    part::{Gathered, Part, record_plan},
    phase::Phase,
    record::Record,
    sanity::Checks,
    stage::{Finished, Stage, StageResult},
    tuning,
    workers::Crew,
};
use crate::{
    causal::{
        published,
        record::{FilterRecord, Rule},
    },
    workbench::Workbench,
};

/// How far a part of an experiment came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// To its end.
    Done(Finished),
    /// Samples of this phase that are other shards' are missing, so many.
    Waiting(Phase, u64),
}

/// Runs a part of a plan to its end, or as far as the other shards allow.
///
/// # Errors
///
/// The folder holds another experiment, a component cannot be made, too many samples failed, the disk fails, or the
/// user asked to stop. What is in the journal then stays, and the same call goes on from there.
pub fn run(bench: &Workbench, part: &Part<'_>, retry_failed: bool) -> Result<Progress> {
    let plan = part.plan;
    // Opened first: of the whole experiment it is the lock on the folder.
    let (journal, records) = part.journal::<Record>(Phase::Explain)?;
    record_plan(part)?;
    let mut crew = Crew::new(bench, &plan.experiment);
    let filter = filter(bench, &mut crew, part, retry_failed)?;
    if plan.methods.is_empty() {
        return Ok(Progress::Done(filter.finished));
    }
    let scored = tuning::score(bench, &mut crew, part)?;
    let filtered = match part.gather(Phase::Filter, filter.records)? {
        Gathered::Whole(records) => Filtered::new(&records),
        Gathered::Waiting(phase, missing) => return Ok(Progress::Waiting(phase, missing)),
    };
    let tuned = match part.gather(Phase::Tuning, scored)? {
        Gathered::Whole(records) => tuning::choose(plan, &records)?,
        Gathered::Waiting(phase, missing) => return Ok(Progress::Waiting(phase, missing)),
    };
    tuning::write(&part.folder, plan, &tuned)?;
    let explaining = Explaining {
        plan,
        folder: Some(&part.folder),
        filtered: &filtered,
        methods: &|cell, model, bench| chosen_methods(bench, plan, &tuned, cell, model),
    };
    let stage = Stage {
        session: &bench.session,
        plan,
        part,
        phase: Phase::Explain,
        cells: &plan.cells,
        note: "samples",
    };
    let explained = stage.run(
        &mut crew,
        &journal,
        records,
        retry_failed,
        &|bench, model, desk| explaining.work(bench, model, desk),
    )?;
    if plan.experiment.sanity.is_none() {
        return Ok(Progress::Done(explained.finished));
    }
    let records = match part.gather(Phase::Explain, explained.records)? {
        Gathered::Whole(records) => records,
        Gathered::Waiting(phase, missing) => return Ok(Progress::Waiting(phase, missing)),
    };
    let checks = Checks {
        session: &bench.session,
        plan,
        part,
        tuned: &tuned,
        filtered: &filtered,
    };
    checks.run(&mut crew, &records, retry_failed)?;
    Ok(Progress::Done(explained.finished))
}

/// Builds the benchmark alone: the causal filter, without any method.
///
/// # Errors
///
/// Those of [`run`]; the plan has no filter.
pub fn build(bench: &Workbench, part: &Part<'_>, retry_failed: bool) -> Result<Finished> {
    let plan = part.plan;
    if plan.experiment.filter.is_none() {
        return Err(Error::missing("the experiment has no causal filter")
            .with_hint("name its editors under `experiment.filter.editors`"));
    }
    // The journal of the methods is the lock on the folder.
    let _lock = part.journal::<Record>(Phase::Explain)?;
    record_plan(part)?;
    let mut crew = Crew::new(bench, &plan.experiment);
    Ok(filter(bench, &mut crew, part, retry_failed)?.finished)
}

fn filter(
    bench: &Workbench,
    crew: &mut Crew,
    part: &Part<'_>,
    retry_failed: bool,
) -> Result<StageResult<FilterRecord>> {
    let found = filtering::filter(bench, crew, part, retry_failed)?;
    if let Some(filter) = part
        .plan
        .experiment
        .filter
        .as_ref()
        .filter(|_| part.is_all())
    {
        let rule = Rule::new(filter, part.plan.experiment.verdict);
        let records = || found.records.iter().map(|record| Ok(Cow::Borrowed(record)));
        published::write(&part.folder, records, rule)?;
    }
    Ok(found)
}
