//! Runs a plan: every sample that is not in the journal yet.

use medfocus_plugin_api::{Error, Result};

use super::{
    cast::chosen_methods,
    explaining::Explaining,
    filtered::Filtered,
    filtering,
    journal::Journal,
    plan::Plan,
    record::Record,
    results,
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
    output::OutDir,
    workbench::Workbench,
};

/// Runs the plan to its end.
///
/// # Errors
///
/// The folder holds another experiment, a component cannot be made, too many samples failed, the disk fails, or the
/// user asked to stop. What is in the journal then stays, and the same call goes on from there.
pub fn run(bench: &Workbench, plan: &Plan, retry_failed: bool) -> Result<Finished> {
    let (folder, journal, records) = open(plan)?;
    let mut crew = Crew::new(bench, plan.experiment.workers);
    let filter = filter(bench, &mut crew, plan, &folder, retry_failed)?;
    if plan.methods.is_empty() {
        return Ok(filter.finished);
    }
    let filtered = Filtered::new(&filter.records);
    let tuned = tuning::tune(bench, &mut crew, plan, &folder)?;
    let explaining = Explaining {
        plan,
        folder: Some(&folder),
        filtered: &filtered,
        methods: &|cell, model, bench| chosen_methods(bench, plan, &tuned, cell, model),
    };
    let stage = Stage {
        session: &bench.session,
        plan,
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
    let checks = Checks {
        session: &bench.session,
        plan,
        tuned: &tuned,
        filtered: &filtered,
    };
    checks.run(&mut crew, &explained.records, &folder, retry_failed)?;
    Ok(explained.finished)
}

/// Builds the benchmark alone: the causal filter, without any method.
///
/// # Errors
///
/// Those of [`run`]; the plan has no filter.
pub fn build(bench: &Workbench, plan: &Plan, retry_failed: bool) -> Result<Finished> {
    if plan.experiment.filter.is_none() {
        return Err(Error::missing("the experiment has no causal filter")
            .with_hint("name its editors under `experiment.filter.editors`"));
    }
    // The journal of the methods is the lock on the folder.
    let (folder, _lock, _) = open(plan)?;
    let mut crew = Crew::new(bench, plan.experiment.workers);
    Ok(filter(bench, &mut crew, plan, &folder, retry_failed)?.finished)
}

/// The plan's folder with what its journal holds; this process alone writes to it.
fn open(plan: &Plan) -> Result<(OutDir, Journal<Record>, Vec<Record>)> {
    let folder = OutDir::create(plan.folder())?;
    // Opened first: it is the lock on the folder.
    let (journal, records) = Journal::open(&folder.path().join(results::JOURNAL))?;
    if let Some(earlier) = results::plan_of_results(folder.path())? {
        plan.check_continues(&earlier)?;
    }
    folder.json(results::PLAN, plan)?;
    Ok((folder, journal, records))
}

fn filter(
    bench: &Workbench,
    crew: &mut Crew,
    plan: &Plan,
    folder: &OutDir,
    retry_failed: bool,
) -> Result<StageResult<FilterRecord>> {
    let found = filtering::filter(bench, crew, plan, folder, retry_failed)?;
    if let Some(filter) = &plan.experiment.filter {
        let rule = Rule::new(filter, plan.experiment.verdict);
        published::write(folder, &found.records, rule)?;
    }
    Ok(found)
}
