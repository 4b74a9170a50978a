//! What a run will cost, by trying one sample of each cell.

use std::collections::BTreeMap;

use medfocus_plugin_api::{ModelInfo, Result, VisionLanguageModel};

use super::{
    case::Scene,
    plan::{Cell, Plan},
    record::{MethodResult, Outcome},
    run::{chosen_methods, reader},
};
use crate::workbench::Workbench;

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
    let plan = &plan;
    let mut models = BTreeMap::new();
    let mut estimates = Vec::new();
    for cell in plan.cells.iter().filter(|cell| cell.samples > 0) {
        if !models.contains_key(&cell.model) {
            let recipe = bench.plan_model(&cell.model, Default::default())?;
            models.clear();
            models.insert(cell.model.clone(), bench.make(&recipe, None)?);
        }
        let model = &models[&cell.model];
        let info = VisionLanguageModel::info(&model.client())?;
        let scene = Scene {
            bench,
            plan,
            cell,
            reader: reader(bench, plan, &cell.dataset)?,
            model_digest: info.digest.clone(),
            methods: chosen_methods(bench, plan, &[], cell, model)?,
            model,
            folder: None,
        };
        // The first call of anything is slow: it does not count.
        scene.record(0)?;
        let mut record = scene.record(0)?;
        for index in 1..cell.samples.min(TRIES) {
            if matches!(record.outcome, Outcome::Attributed { .. }) {
                break;
            }
            record = scene.record(index)?;
        }
        let line = serde_json::to_vec(&record).map_or(0, |line| line.len() as u64 + 1);
        estimates.push(Estimate {
            cell: cell.clone(),
            model: info,
            seconds: record.seconds * cell.samples as f64,
            bytes: line * cell.samples,
            methods: match record.outcome {
                Outcome::Attributed { results } => results,
                _ => Vec::new(),
            },
        });
    }
    Ok(estimates)
}
