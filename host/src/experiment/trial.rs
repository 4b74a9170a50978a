//! What the samples of a cell cost, by trying a few of them.

use std::{collections::BTreeMap, time::Instant};

use medfocus_plugin_api::{Error, ErrorKind, Mode, ModelInfo, Result, VisionLanguageModel};
use serde::{Deserialize, Serialize};

use super::{
    case::{Posed, Scene},
    cast::chosen_methods,
    config::Keep,
    filtered::Filtered,
    filtering::{self, FilterCost},
    plan::{Cell, Plan},
    record::Outcome,
};
use crate::{
    attribute::explain,
    machine,
    plugin::Calls,
    workbench::{Provenance, Ready, Workbench},
};

/// Samples whose cost is averaged.
const SAMPLES: usize = 3;
/// Samples tried at most until so many are explained.
const TRIES: u64 = 8;
/// Seconds after which no further sample is begun.
const PATIENCE: f64 = 60.0;

/// What a few samples of a cell took, one after the other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Name of the dataset.
    pub dataset: String,
    /// How it was asked.
    pub mode: Mode,
    /// Seconds to read a sample, to answer, and to say how likely the answer is without the image, mean.
    pub answer: f64,
    /// Bytes of a record.
    pub record: u64,
    /// What the causal filter takes for a sample that is answered rightly, where there is one.
    pub filter: Option<FilterCost>,
    /// What each method takes.
    pub methods: Vec<MethodCost>,
}

/// What a method takes for a sample.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MethodCost {
    /// Its name in tables.
    pub name: String,
    /// What it is.
    pub method: Provenance,
    /// Seconds, mean.
    pub seconds: f64,
    /// Calls of other components, mean.
    pub calls: f64,
    /// Images scored by the model, mean.
    pub images: f64,
    /// Bytes of the process at most, its model among them; nothing where the system does not say.
    pub peak: Option<u64>,
}

/// Tries some samples of a cell around its model, of which the first only warms up; swept parameters keep the values of the config.
///
/// # Errors
///
/// A method or an editor cannot be made, or the user asked to stop.
pub(super) fn try_cell(
    bench: &Workbench,
    plan: &Plan,
    cell: &Cell,
    model: &Ready,
) -> Result<Trial> {
    let methods = chosen_methods(bench, plan, &[], cell, model)?;
    let nothing = Filtered::default();
    let scene = Scene::new(bench, plan, cell, model, methods, &nothing, None)?;
    let mut places = spread(cell);
    let (mut record, mut asked) = (0, 0);
    for place in &places {
        let first = scene.record(cell.index(*place))?;
        record = serde_json::to_vec(&first).map_or(0, |line| line.len() as u64 + 1);
        asked += 1;
        if matches!(first.outcome, Outcome::Attributed { .. }) {
            break;
        }
    }
    // The first call of anything is slow, and models remember what they were asked about: others are measured.
    places.rotate_left(asked);
    let begin = Instant::now();
    let mut answers = Mean::default();
    let mut costs: BTreeMap<&str, Costs> = BTreeMap::new();
    let mut explained = 0;
    for place in places {
        let posed: Result<Posed> = timed(&mut answers, || {
            let index = cell.index(place);
            let mut posed = scene.pose(index, scene.known(index))?;
            scene.read_out(&mut posed.task)?;
            Ok(posed)
        });
        match posed {
            Err(error) if error.kind == ErrorKind::Cancelled => return Err(error),
            Ok(posed) if posed.exclusion.is_none() => {
                ask(&scene, &posed, &mut costs)?;
                explained += 1;
            }
            // Another sample may be readable, or answered rightly.
            _ => {}
        }
        if explained >= SAMPLES || begin.elapsed().as_secs_f64() > PATIENCE {
            break;
        }
    }
    let methods = scene.methods.iter().filter_map(|(name, ready)| {
        let costs = costs.get(name.as_str())?;
        Some(MethodCost {
            name: name.clone(),
            method: ready.provenance.clone(),
            seconds: costs.seconds.value(),
            calls: costs.calls.value(),
            images: costs.images.value(),
            peak: costs.peak,
        })
    });
    Ok(Trial {
        dataset: cell.dataset.clone(),
        mode: cell.mode,
        answer: answers.value(),
        record,
        methods: methods.collect(),
        filter: filtering::tried(bench, plan, cell, model, TRIES)?,
    })
}

/// Places of the samples to try, from all over the cell.
fn spread(cell: &Cell) -> Vec<u64> {
    let tries = cell.samples.min(TRIES);
    (0..tries).map(|n| n * cell.samples / tries).collect()
}

/// Asks every method once; what fails is warned of and does not count.
fn ask<'s>(
    scene: &'s Scene<'_>,
    posed: &Posed,
    costs: &mut BTreeMap<&'s str, Costs>,
) -> Result<()> {
    let session = &scene.bench.session;
    for (name, method) in &scene.methods {
        session.take_ledger();
        machine::restart_peak();
        let begin = Instant::now();
        let found = explain(method, &posed.task, &scene.plan.boxes);
        let seconds = begin.elapsed().as_secs_f64();
        let peak = machine::peak();
        let calls = session.take_ledger();
        match found {
            Err(error) if error.kind == ErrorKind::Cancelled => return Err(error),
            Err(error) => tracing::warn!("{name} is not measured: {error}"),
            Ok(_) => costs.entry(name).or_default().add(seconds, peak, &calls),
        }
    }
    Ok(())
}

/// What a method took so far.
#[derive(Default)]
struct Costs {
    seconds: Mean,
    calls: Mean,
    images: Mean,
    peak: Option<u64>,
}

impl Costs {
    fn add(&mut self, seconds: f64, peak: Option<u64>, calls: &BTreeMap<String, Calls>) {
        let others = calls.iter().filter(|(name, _)| *name != "method.attribute");
        let others: u64 = others.map(|(_, count)| count.calls).sum();
        let scores = calls.get("model.score");
        self.seconds.add(seconds);
        self.calls.add(others as f64);
        self.images
            .add(scores.map_or(0.0, |count| count.tensors as f64));
        self.peak = self.peak.max(peak);
    }
}

/// A mean of what is added one by one; 0 of nothing.
#[derive(Clone, Copy, Default)]
struct Mean {
    sum: f64,
    count: f64,
}

impl Mean {
    fn add(&mut self, value: f64) {
        self.sum += value;
        self.count += 1.0;
    }

    fn value(self) -> f64 {
        self.sum / self.count.max(1.0)
    }
}

fn timed<T>(mean: &mut Mean, work: impl FnOnce() -> T) -> T {
    let begin = Instant::now();
    let done = work();
    mean.add(begin.elapsed().as_secs_f64());
    done
}

/// A model and what it takes, tried in one place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelTrial {
    /// As the experiment names it.
    pub model: String,
    /// The backend.
    pub backend: Provenance,
    /// What it is.
    pub info: ModelInfo,
    /// Seconds to load it.
    pub load: f64,
    /// Bytes of the process at most while it was loaded.
    pub peak: Option<u64>,
    /// Of each of its cells.
    pub cells: Vec<Trial>,
}

/// Tries some samples of each of a model's cells with each method, and returns the model as well.
///
/// # Errors
///
/// The model or a method cannot be made, or the user asked to stop.
pub fn try_model(bench: &Workbench, plan: &Plan, name: &str) -> Result<(Ready, ModelTrial)> {
    let planned = plan.models.iter().find(|planned| planned.name == name);
    let planned =
        planned.ok_or_else(|| Error::internal(format!("no model `{name}` is planned")))?;
    let mut plan = plan.clone();
    // Any answer costs as much as a right one, and only the first samples have curves and flips.
    plan.experiment.keep = Keep::All;
    plan.experiment.curves = None;
    plan.experiment.flips = None;
    let recipe = bench.plan_model(name, Default::default())?;
    machine::restart_peak();
    let begin = Instant::now();
    let model = bench.make(&recipe, None)?;
    let load = begin.elapsed().as_secs_f64();
    let peak = machine::peak();
    let cells = plan
        .cells
        .iter()
        .filter(|cell| cell.model == name && cell.samples > 0);
    let cells = cells.map(|cell| try_cell(bench, &plan, cell, &model));
    let trial = ModelTrial {
        model: name.to_owned(),
        backend: planned.backend.clone(),
        info: VisionLanguageModel::info(&model.client())?,
        load,
        peak,
        cells: cells.collect::<Result<_>>()?,
    };
    Ok((model, trial))
}
