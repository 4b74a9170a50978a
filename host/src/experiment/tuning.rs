//! Choosing swept parameters on a split of their own, before any test sample is seen.

use medfocus_plugin_api::{Error, Result};

use super::{
    cast::with_params,
    journal::Journal,
    plan::{Cell, Plan, Tuned},
    record::{MethodOutcome, Outcome, Record},
    results,
    stage::Stage,
    workers::Crew,
};
use crate::{
    metrics::{Direction, METRICS},
    output::OutDir,
    plugin::nearest,
    workbench::{Ready, Workbench},
};

/// Scores every candidate of every swept method on the tuning split, for each model and mode, and chooses the one
/// with the best mean; the first of equals. Writes `tuned.json`.
///
/// # Errors
///
/// Those of a run.
pub(super) fn tune(
    bench: &Workbench,
    crew: &mut Crew,
    plan: &Plan,
    folder: &OutDir,
) -> Result<Vec<Tuned>> {
    let Some(dataset) = plan.tuning.as_ref().filter(|_| swept(plan)) else {
        return Ok(Vec::new());
    };
    let mut cells: Vec<Cell> = Vec::new();
    for cell in &plan.cells {
        let cell = Cell {
            dataset: dataset.name.clone(),
            samples: dataset.samples,
            ..cell.clone()
        };
        if cells
            .iter()
            .all(|c| (&c.model, c.mode) != (&cell.model, cell.mode))
        {
            cells.push(cell);
        }
    }
    // Only the tuning metric counts here.
    let mut without_curves = plan.clone();
    without_curves.experiment.curves = None;
    let (journal, held) = Journal::open(&folder.path().join(results::TUNING))?;
    let stage = Stage {
        bench,
        plan: &without_curves,
        folder: None,
        cells: &cells,
        note: "tuning samples",
        methods: &|cell, model, bench| candidates(bench, plan, cell, model),
    };
    let records = stage.run(crew, &journal, held, false)?.records;
    let tuned: Vec<Tuned> = cells
        .iter()
        .flat_map(|cell| choose(plan, cell, &records))
        .collect();
    folder.json(results::TUNED, &tuned)?;
    Ok(tuned)
}

/// Checks that a metric can choose between candidates.
///
/// # Errors
///
/// There is no such metric of an attribution, or lower is better.
pub(super) fn check_metric(name: &str) -> Result<()> {
    let known = || {
        METRICS
            .iter()
            .filter(|m| m.direction == Direction::HigherIsBetter)
    };
    if known().any(|metric| metric.name == name) {
        return Ok(());
    }
    let hint = match nearest(name, known().map(|metric| metric.name)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`iou` is the paper's".to_owned(),
    };
    Err(Error::invalid(format!(
        "`experiment.tuning.metric` is `{name}`, by which nothing can be chosen"
    ))
    .with_hint(hint))
}

fn swept(plan: &Plan) -> bool {
    plan.methods
        .iter()
        .any(|method| !method.candidates.is_empty())
}

/// The name of a method's candidate in the tuning journal.
fn label(method: &str, number: usize) -> String {
    format!("{method}#{number}")
}

fn candidates(
    bench: &Workbench,
    plan: &Plan,
    cell: &Cell,
    model: &Ready,
) -> Result<Vec<(String, Ready)>> {
    let mut made = Vec::new();
    for config in &plan.experiment.methods {
        let name = config.label();
        let method = plan
            .method(name)
            .filter(|_| cell.methods.iter().any(|m| m == name));
        for (number, candidate) in method.iter().flat_map(|m| m.candidates.iter().enumerate()) {
            let mut filling = config.filling();
            with_params(&mut filling, candidate)?;
            let recipe = bench.plan_method(&filling, &model.manifest)?;
            made.push((label(name, number), bench.make(&recipe, Some(model))?));
        }
    }
    Ok(made)
}

/// The winners of one model and mode.
fn choose(plan: &Plan, cell: &Cell, records: &[Record]) -> Vec<Tuned> {
    let metric = plan
        .experiment
        .tuning
        .as_ref()
        .map_or("", |tuning| &tuning.metric);
    let swept = plan
        .methods
        .iter()
        .filter(|method| !method.candidates.is_empty());
    swept
        .filter(|method| cell.methods.contains(&method.name))
        .map(|method| {
            let scored = method.candidates.iter().enumerate();
            let candidates: Vec<_> = scored
                .map(|(number, params)| {
                    let values = values(records, cell, &label(&method.name, number), metric);
                    (params.clone(), mean(&values))
                })
                .collect();
            let mut best = 0;
            for (number, (_, mean)) in candidates.iter().enumerate() {
                if mean.unwrap_or(f64::MIN) > candidates[best].1.unwrap_or(f64::MIN) {
                    best = number;
                }
            }
            Tuned {
                model: cell.model.clone(),
                mode: cell.mode,
                method: method.name.clone(),
                params: candidates[best].0.clone(),
                candidates,
            }
        })
        .collect()
}

fn values(records: &[Record], cell: &Cell, method: &str, metric: &str) -> Vec<f64> {
    let records = records
        .iter()
        .filter(|record| record.case.model == cell.model && record.case.mode == cell.mode);
    let results = records.flat_map(|record| match &record.outcome {
        Outcome::Attributed { results } => results.as_slice(),
        _ => &[],
    });
    results
        .filter(|result| result.method == method)
        .filter_map(|result| match &result.outcome {
            MethodOutcome::Scored { metrics, .. } => metrics.get(metric).copied(),
            MethodOutcome::Failed { .. } => None,
        })
        .collect()
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}
