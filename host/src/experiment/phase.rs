//! The phases of a run: what can be done sample by sample before something must be known of all.

use serde::{Deserialize, Serialize};

use super::{
    plan::{Cell, Plan},
    results,
};

/// A phase of a run. The filter and the tuning need nothing; explaining needs both to the end, and the checks need the
/// explanations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The causal filter.
    Filter,
    /// Every candidate of the swept parameters on the tuning split.
    Tuning,
    /// The methods.
    Explain,
    /// The sanity checks.
    Sanity,
}

impl Phase {
    /// All of them, in their order.
    pub const ALL: [Self; 4] = [Self::Filter, Self::Tuning, Self::Explain, Self::Sanity];

    /// What it is, in words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Filter => "the causal filter",
            Self::Tuning => "the tuning",
            Self::Explain => "the explanations",
            Self::Sanity => "the sanity checks",
        }
    }

    /// How many phases come before it that must be whole.
    pub const fn wave(self) -> usize {
        match self {
            Self::Filter | Self::Tuning => 0,
            Self::Explain => 1,
            Self::Sanity => 2,
        }
    }

    /// Name of its journal.
    pub const fn journal(self) -> &'static str {
        match self {
            Self::Filter => results::FILTER,
            Self::Tuning => results::TUNING,
            Self::Explain => results::JOURNAL,
            Self::Sanity => results::SANITY,
        }
    }

    /// What a plan has to do in it. The samples of the checks are numbered among the explained ones of their cell.
    pub fn cells(self, plan: &Plan) -> Vec<Cell> {
        let experiment = &plan.experiment;
        match self {
            Self::Filter if experiment.filter.is_some() => plan.cells.clone(),
            Self::Explain if !plan.methods.is_empty() => plan.cells.clone(),
            Self::Tuning => tuning(plan),
            Self::Sanity => {
                let samples = experiment
                    .sanity
                    .as_ref()
                    .map_or(0, |sanity| sanity.samples);
                let cells = plan.cells.iter().filter(|cell| cell.samples > 1);
                cells
                    .filter(|_| samples > 0 && !plan.methods.is_empty())
                    .map(|cell| Cell {
                        samples: cell.samples.min(samples),
                        chosen: None,
                        ..cell.clone()
                    })
                    .collect()
            }
            Self::Filter | Self::Explain => Vec::new(),
        }
    }
}

/// The tuning split, once for each model and mode.
fn tuning(plan: &Plan) -> Vec<Cell> {
    let swept = plan
        .methods
        .iter()
        .any(|method| !method.candidates.is_empty());
    let Some(dataset) = plan.tuning.as_ref().filter(|_| swept) else {
        return Vec::new();
    };
    let mut cells: Vec<Cell> = Vec::new();
    for cell in &plan.cells {
        let known = |other: &Cell| (&other.model, other.mode) == (&cell.model, cell.mode);
        if !cells.iter().any(known) {
            cells.push(Cell {
                dataset: dataset.name.clone(),
                samples: dataset.samples,
                chosen: None,
                ..cell.clone()
            });
        }
    }
    cells
}
