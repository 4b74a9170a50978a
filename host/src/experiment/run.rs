//! Runs a plan: every sample that is not in the journal yet.

use medfocus_plugin_api::Result;

use super::{
    cast::chosen_methods,
    journal::Journal,
    plan::Plan,
    record::Record,
    results, sanity,
    stage::{Finished, Stage},
    tuning,
    workers::Crew,
};
use crate::{output::OutDir, workbench::Workbench};

/// Runs the plan to its end.
///
/// # Errors
///
/// The folder holds another experiment, a component cannot be made, too many samples failed, the disk fails, or the
/// user asked to stop. What is in the journal then stays, and the same call goes on from there.
pub fn run(bench: &Workbench, plan: &Plan, retry_failed: bool) -> Result<Finished> {
    let folder = OutDir::create(plan.folder())?;
    let at = |file: &str| folder.path().join(file);
    // Opened first: it is the lock on the folder.
    let (journal, records) = Journal::<Record>::open(&at(results::JOURNAL))?;
    if let Some(earlier) = results::read_plan(folder.path())? {
        plan.check_continues(&earlier)?;
    }
    folder.json(results::PLAN, plan)?;

    let mut crew = Crew::new(bench, plan.experiment.workers);
    let tuned = tuning::tune(bench, &mut crew, plan, &folder)?;
    let stage = Stage {
        bench,
        plan,
        folder: Some(&folder),
        cells: &plan.cells,
        note: "samples",
        methods: &|cell, model, bench| chosen_methods(bench, plan, &tuned, cell, model),
    };
    let records = stage.run(&mut crew, &journal, records, retry_failed)?;
    sanity::check(
        &bench.session,
        &mut crew,
        plan,
        &tuned,
        &records.records,
        &folder,
    )?;
    Ok(records.finished)
}
