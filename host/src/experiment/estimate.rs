//! What a run will cost, by trying one sample of each cell.

use medfocus_plugin_api::{ModelInfo, Result, VisionLanguageModel};

use super::{
    case::Scene,
    cast::chosen_methods,
    filtered::Filtered,
    filtering,
    plan::{Cell, Plan},
    record::{MethodResult, Outcome},
};
use crate::workbench::{Ready, Workbench};

/// Samples tried at most until one is explained.
const TRIES: u64 = 5;

/// What the samples of a cell cost.
#[derive(Clone, Debug)]
pub struct Estimate {
    /// The cell.
    pub cell: Cell,
    /// Its model.
    pub model: ModelInfo,
    /// Wall-clock seconds of all its samples on one worker.
    pub seconds: f64,
    /// Bytes of the journal.
    pub bytes: u64,
    /// Seconds and model calls of the causal filter for a sample, if there is one.
    pub filter: Option<(f64, u64)>,
    /// What each method took on the sample that was tried.
    pub methods: Vec<MethodResult>,
}

/// Tries one sample of each cell with each method; swept parameters keep the values of the config.
///
/// # Errors
///
/// A model or a method cannot be made.
pub fn estimate(bench: &Workbench, plan: &Plan) -> Result<Vec<Estimate>> {
    let mut plan = plan.clone();
    // Only the first samples have curves.
    plan.experiment.curves = None;
    plan.experiment.flips = None;
    let plan = &plan;
    let mut estimates = Vec::new();
    for planned in &plan.models {
        let recipe = bench.plan_model(&planned.name, Default::default())?;
        let model = bench.make(&recipe, None)?;
        let cells = plan.cells.iter().filter(|cell| cell.model == planned.name);
        for cell in cells.filter(|cell| cell.samples > 0) {
            estimates.push(of_cell(bench, plan, cell, &model)?);
        }
    }
    Ok(estimates)
}

fn of_cell(bench: &Workbench, plan: &Plan, cell: &Cell, model: &Ready) -> Result<Estimate> {
    let methods = chosen_methods(bench, plan, &[], cell, model)?;
    let nothing = Filtered::default();
    let scene = Scene::new(bench, plan, cell, model, methods, &nothing, None)?;
    // The first call of anything is slow: it does not count.
    scene.record(cell.index(0))?;
    let mut record = scene.record(cell.index(0))?;
    for place in 1..cell.samples.min(TRIES) {
        if matches!(record.outcome, Outcome::Attributed { .. }) {
            break;
        }
        record = scene.record(cell.index(place))?;
    }
    let filter = filtering::tried(bench, plan, cell, model, TRIES)?;
    let filtering = filter.map_or(0.0, |(seconds, _)| seconds);
    let line = serde_json::to_vec(&record).map_or(0, |line| line.len() as u64 + 1);
    Ok(Estimate {
        cell: cell.clone(),
        model: VisionLanguageModel::info(&model.client())?,
        seconds: (record.seconds + filtering) * cell.samples as f64,
        filter,
        bytes: line * cell.samples,
        methods: match record.outcome {
            Outcome::Attributed { results } => results,
            _ => Vec::new(),
        },
    })
}
