//! What a run will cost, from what a few samples took, here or elsewhere.

use medfocus_plugin_api::{Error, Result};

use super::{
    phase::Phase,
    plan::{Cell, Plan, PlannedMethod},
    trial::{MethodCost, ModelTrial, Trial},
};
use crate::workbench::Provenance;

/// What the samples of a cell cost.
#[derive(Debug)]
pub struct Estimate<'a> {
    /// The cell.
    pub cell: &'a Cell,
    /// Where its model was tried.
    pub model: &'a ModelTrial,
    /// What samples took.
    pub trial: &'a Trial,
    /// What each of its methods takes, in the plan's order; nothing of one that was not tried.
    pub methods: Vec<(&'a str, Option<&'a MethodCost>)>,
    /// Wall-clock seconds of the tuning that is this cell's, on one worker.
    pub tuning: f64,
}

impl<'a> Estimate<'a> {
    /// Every cell of a plan, from trials of its models.
    ///
    /// # Errors
    ///
    /// A model was tried nowhere, in two places, as another one, or not in a mode of the plan.
    pub fn of(plan: &'a Plan, trials: &'a [ModelTrial]) -> Result<Vec<Self>> {
        let mut estimates: Vec<Self> = Vec::new();
        for cell in plan.cells.iter().filter(|cell| cell.samples > 0) {
            let model = tried(plan, trials, &cell.model)?;
            let trial = model.of(cell).ok_or_else(|| {
                let mode = cell.mode.name();
                Error::missing(format!(
                    "`{}` was not tried in the mode `{mode}`",
                    cell.model
                ))
            })?;
            let methods = cell.methods.iter().map(|name| {
                let planned = plan.method(name);
                (
                    name.as_str(),
                    planned.and_then(|planned| trial.cost(planned)),
                )
            });
            let methods: Vec<_> = methods.collect();
            // Swept parameters are chosen once for a model and a mode.
            let first = estimates
                .iter()
                .all(|other| (&other.cell.model, other.cell.mode) != (&cell.model, cell.mode));
            let tuning = if first {
                tuning(plan, trial, &methods)
            } else {
                0.0
            };
            estimates.push(Self {
                cell,
                model,
                trial,
                methods,
                tuning,
            });
        }
        Ok(estimates)
    }

    /// Wall-clock seconds of all its samples on one worker, if every one is explained.
    pub fn seconds(&self) -> f64 {
        let methods = self.methods.iter().filter_map(|(_, cost)| *cost);
        let methods: f64 = methods.map(|cost| cost.seconds).sum();
        let filter = self.trial.filter.map_or(0.0, |filter| filter.seconds);
        (self.trial.answer + methods + filter) * self.cell.samples as f64
    }

    /// Seconds that a sample of a phase takes on one worker, by its cell, from trials of a plan's models.
    ///
    /// # Errors
    ///
    /// Those of [`Estimate::of`].
    pub fn costs(plan: &'a Plan, trials: &'a [ModelTrial]) -> Result<impl Fn(Phase, &Cell) -> f64> {
        let estimates = Self::of(plan, trials)?;
        Ok(move |phase, cell: &Cell| {
            let same = |other: &&Self| {
                (&other.cell.model, other.cell.mode) == (&cell.model, cell.mode)
                    && (phase == Phase::Tuning || other.cell.dataset == cell.dataset)
            };
            let mut found = estimates.iter().filter(same);
            found.next().map_or(0.0, |found| found.sample(plan, phase))
        })
    }

    /// Seconds of one sample in a phase.
    fn sample(&self, plan: &Plan, phase: Phase) -> f64 {
        let methods = self.methods.iter().filter_map(|(_, cost)| *cost);
        let methods: f64 = methods.map(|cost| cost.seconds).sum();
        match phase {
            Phase::Filter => self.trial.filter.map_or(0.0, |filter| filter.seconds),
            // Of one sample: what all of them take is spread over the split.
            Phase::Tuning => {
                let samples = plan.tuning.as_ref().map_or(1, |split| split.samples.max(1));
                self.tuning / samples as f64
            }
            Phase::Explain => self.trial.answer + methods,
            Phase::Sanity => {
                let sanity = plan.experiment.sanity.as_ref();
                let changes = sanity.map_or(0, |sanity| 2 + sanity.randomise.len());
                methods * (1 + changes) as f64
            }
        }
    }

    /// Bytes of its journal.
    pub fn bytes(&self) -> u64 {
        self.trial.record * self.cell.samples
    }

    /// Bytes of one worker's process at most, its model among them, where that was measured.
    pub fn peak(&self) -> Option<u64> {
        let methods = self
            .methods
            .iter()
            .filter_map(|(_, cost)| cost.as_ref()?.peak);
        methods.chain(self.model.peak).max()
    }
}

impl ModelTrial {
    /// What samples of a cell take: by its own dataset if that was tried, else by another.
    fn of(&self, cell: &Cell) -> Option<&Trial> {
        let same = || self.cells.iter().filter(|trial| trial.mode == cell.mode);
        let own = same().find(|trial| trial.dataset == cell.dataset);
        own.or_else(|| same().next())
    }
}

impl Trial {
    /// What a method takes that does the same work, if need be under another name.
    fn cost(&self, planned: &PlannedMethod) -> Option<&MethodCost> {
        let costs = self.methods.iter();
        let same: Vec<_> = costs
            .filter(|cost| same_work(&cost.method, &planned.method))
            .collect();
        let own = same.iter().find(|cost| cost.name == planned.name);
        own.or(same.first()).copied()
    }
}

/// The trial of a model; one of another model under its name does not count.
fn tried<'a>(plan: &Plan, trials: &'a [ModelTrial], name: &str) -> Result<&'a ModelTrial> {
    let own: Vec<_> = trials.iter().filter(|trial| trial.model == name).collect();
    let trial = match own[..] {
        [trial] => trial,
        [] => {
            return Err(Error::missing(format!("`{name}` was not tried"))
                .with_hint(format!("measure it with `medfocus bench {name}`")));
        }
        _ => {
            return Err(Error::invalid(format!("`{name}` was tried in two places"))
                .with_hint("name one of the two calibrations"));
        }
    };
    let planned = plan.models.iter().find(|planned| planned.name == name);
    if planned.is_some_and(|planned| planned.backend.component != trial.backend.component) {
        return Err(Error::invalid(format!(
            "`{name}` was tried as a `{}`, which is another model",
            trial.backend.component
        )));
    }
    Ok(trial)
}

/// Seconds on one worker to choose the swept parameters of a model in a mode.
fn tuning(plan: &Plan, trial: &Trial, methods: &[(&str, Option<&MethodCost>)]) -> f64 {
    let Some(split) = &plan.tuning else {
        return 0.0;
    };
    let candidates = methods.iter().map(|(name, cost)| {
        let candidates = plan
            .method(name)
            .map_or(0, |method| method.candidates.len());
        candidates as f64 * cost.map_or(0.0, |cost| cost.seconds)
    });
    let candidates: f64 = candidates.sum();
    let sample = if candidates > 0.0 {
        trial.answer + candidates
    } else {
        0.0
    };
    sample * split.samples as f64
}

/// Whether two components do the same, whichever builds of them.
fn same_work(a: &Provenance, b: &Provenance) -> bool {
    let inner = |p: &Provenance| p.slots.keys().cloned().collect::<Vec<_>>();
    (&a.component, &a.params) == (&b.component, &b.params)
        && inner(a) == inner(b)
        && a.slots.iter().all(|(slot, a)| same_work(a, &b.slots[slot]))
}
