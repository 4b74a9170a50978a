//! What an experiment comes down to, before anything runs.

use std::path::PathBuf;

use medfocus_plugin_api::{Chosen, Error, Mode, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    config::{Experiment, Filter},
    record::CaseKey,
};
use crate::{boxes::BoxRule, workbench::Provenance};

/// Everything that decides the results of a run; the content of `plan.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// Version of this program.
    pub medfocus: String,
    /// Digest of all below: results of one plan are never mixed with another's.
    pub digest: String,
    /// Seed of every random choice.
    pub seed: u64,
    /// How heat maps become boxes.
    pub boxes: BoxRule,
    /// Tokens of an answer at most.
    pub max_new_tokens: u32,
    /// Whether it is asked how likely answers are without any image.
    #[serde(default)]
    pub language_prior: bool,
    /// The experiment as it was configured, defaults included, each value that a method `ablate`s as a method of its own.
    pub experiment: Experiment,
    /// Its datasets.
    pub datasets: Vec<PlannedDataset>,
    /// Where methods with a sweep are tuned, if any has one.
    pub tuning: Option<PlannedDataset>,
    /// Its models.
    pub models: Vec<PlannedModel>,
    /// Its methods.
    pub methods: Vec<PlannedMethod>,
    /// The editors of its filter, in their order.
    #[serde(default)]
    pub editors: Vec<PlannedEditor>,
    /// Who edits what the methods point at, if anyone does.
    #[serde(default)]
    pub flips: Option<PlannedEditor>,
    /// What is run.
    pub cells: Vec<Cell>,
}

/// A dataset of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlannedDataset {
    /// The name it gives itself.
    pub name: String,
    /// How many of its first samples take part.
    pub samples: u64,
    /// Digest of what determines its samples.
    pub digest: String,
    /// The reader.
    pub reader: Provenance,
}

/// A model of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlannedModel {
    /// As the experiment names it.
    pub name: String,
    /// The backend.
    pub backend: Provenance,
}

impl PlannedModel {
    /// Its backend, wherever the checkpoint lies: which one it is says its digest, once it is loaded.
    fn wherever(&self) -> Provenance {
        let mut backend = self.backend.clone();
        backend.params.remove("path");
        backend
    }
}

/// A method of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlannedMethod {
    /// Its name in tables.
    pub name: String,
    /// Whether it asks no model, hence is a control.
    pub control: bool,
    /// The method, with what fills its slots besides the model.
    pub method: Provenance,
    /// The values its swept parameters may take together; none if nothing is swept.
    pub candidates: Vec<Map<String, Value>>,
}

/// An editor of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlannedEditor {
    /// Its name in tables.
    pub name: String,
    /// Seeds that each edit is made with.
    pub draws: u32,
    /// The editor.
    pub editor: Provenance,
}

/// One dataset, model and mode.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// Its dataset.
    pub dataset: String,
    /// Its model.
    pub model: String,
    /// How its questions ask to be answered.
    pub mode: Mode,
    /// How many samples it has.
    pub samples: u64,
    /// Which, where the dataset chooses them for the model and mode; else `0..samples`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chosen: Option<Vec<Chosen>>,
    /// Its methods.
    pub methods: Vec<String>,
    /// The methods that do not fit its model.
    pub misfits: Vec<Misfit>,
}

/// A method that cannot be run in a cell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Misfit {
    /// Its name in tables.
    pub method: String,
    /// Why, in a sentence.
    pub reason: String,
}

/// A method's parameters, chosen on the tuning split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tuned {
    /// The model they were chosen for.
    pub model: String,
    /// And the mode.
    pub mode: Mode,
    /// The method.
    pub method: String,
    /// The winner.
    pub params: Map<String, Value>,
    /// Every candidate with its mean of the tuning metric; nothing where it never scored.
    pub candidates: Vec<(Map<String, Value>, Option<f64>)>,
}

impl Plan {
    /// Where its results go.
    pub fn folder(&self) -> PathBuf {
        let name = slug(&self.experiment.name);
        let out = self.experiment.out.clone();
        out.unwrap_or_else(|| PathBuf::from("out").join(name))
    }

    /// What decides a sample's record, whichever samples there are.
    pub(super) fn identity(&self) -> Value {
        let Experiment {
            answer,
            verdict,
            keep,
            curves,
            tuning,
            flips,
            ..
        } = &self.experiment;
        let filter = self.experiment.filter.clone().map(|filter| Filter {
            // Where edits are kept, and what is counted against what, changes no record.
            edits: None,
            reference: None,
            ..filter
        });
        json!({
            "medfocus": self.medfocus,
            "seed": self.seed,
            "boxes": self.boxes,
            "answer.max_new_tokens": self.max_new_tokens,
            "answer.language_prior": self.language_prior,
            "experiment.answer": answer,
            "experiment.verdict": verdict,
            "experiment.keep": keep,
            "experiment.curves": curves,
            "experiment.tuning": [json!(tuning.as_ref().map(|t| &t.metric)), json!(self.tuning)],
            "experiment.filter": [json!(filter), json!(self.editors)],
            "experiment.flips": [json!(flips), json!(self.flips)],
            "experiment.methods": self.methods,
        })
    }

    /// Checks that results of an earlier plan may stand beside this one's. More samples, datasets, models or modes
    /// than before are no obstacle.
    ///
    /// # Errors
    ///
    /// A sentence that names what changed.
    pub fn check_continues(&self, earlier: &Self) -> Result<()> {
        let (ours, theirs) = (self.identity(), earlier.identity());
        let keys = ours.as_object().into_iter().flat_map(Map::keys);
        let mut changed: Vec<String> = keys
            .filter(|key| ours[key.as_str()] != theirs[key.as_str()])
            .cloned()
            .collect();
        for dataset in &self.datasets {
            let same = |d: &&PlannedDataset| d.name == dataset.name && d.digest != dataset.digest;
            changed.extend(
                earlier
                    .datasets
                    .iter()
                    .find(same)
                    .map(|d| format!("dataset {}", d.name)),
            );
        }
        for model in &self.models {
            let same = |m: &&PlannedModel| m.name == model.name && m.wherever() != model.wherever();
            changed.extend(
                earlier
                    .models
                    .iter()
                    .find(same)
                    .map(|m| format!("model {}", m.name)),
            );
        }
        if changed.is_empty() {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "{} holds results of an experiment that differs in {}",
            self.folder().display(),
            changed.join(", ")
        ))
        .with_hint("choose another `experiment.out`, or delete the folder"))
    }

    /// The planned method of this name.
    pub fn method(&self, name: &str) -> Option<&PlannedMethod> {
        self.methods.iter().find(|method| method.name == name)
    }

    /// The name of the method that this one is compared with, if any.
    pub fn reference(&self, method: &PlannedMethod) -> Option<&str> {
        let configs = self.experiment.methods.iter();
        let own = configs
            .filter(|config| config.label() == method.name)
            .find_map(|config| config.compare.as_deref());
        let common = self.experiment.compare.as_deref();
        own.or(common.filter(|_| !method.control))
            .filter(|reference| *reference != method.name)
    }

    /// The place of a method in every list of a report: in the order of the plan, but the controls last.
    pub fn place(&self, method: &str) -> (bool, usize) {
        let mut methods = self.methods.iter();
        let at = methods.position(|planned| planned.name == method);
        let at = at.unwrap_or(self.methods.len());
        let planned = self.methods.get(at);
        (planned.is_some_and(|planned| planned.control), at)
    }
}

impl Cell {
    /// Its samples.
    pub fn cases(&self) -> impl Iterator<Item = CaseKey> {
        (0..self.samples).map(|place| self.case(self.index(place)))
    }

    /// The number in its dataset of the sample at a place of `0..samples`.
    pub fn index(&self, place: u64) -> u64 {
        let chosen = self.chosen.as_ref();
        chosen.map_or(place, |chosen| chosen[place as usize].index)
    }

    /// The place of a sample, if it is one of the cell's.
    pub fn place(&self, index: u64) -> Option<u64> {
        match &self.chosen {
            None => (index < self.samples).then_some(index),
            Some(chosen) => {
                let at = chosen.binary_search_by_key(&index, |chosen| chosen.index);
                at.ok().map(|at| at as u64)
            }
        }
    }

    /// What the dataset has on record that the model answered about a sample.
    pub fn recorded(&self, index: u64) -> Option<&str> {
        let at = self.place(index)? as usize;
        self.chosen.as_ref()?[at].answer.as_deref()
    }

    /// Whether a sample is of its dataset, model and mode.
    pub fn is_of(&self, case: &CaseKey) -> bool {
        (&case.dataset, &case.model, case.mode) == (&self.dataset, &self.model, self.mode)
    }

    /// One of its samples.
    pub fn case(&self, index: u64) -> CaseKey {
        CaseKey {
            dataset: self.dataset.clone(),
            model: self.model.clone(),
            mode: self.mode,
            index,
        }
    }

    /// Its name in folders.
    pub fn slug(&self) -> String {
        let mode = self.mode.name();
        slug(&format!("{}-{}-{mode}", self.dataset, self.model))
    }
}

/// A name as part of a path.
pub fn slug(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let text: String = name
        .chars()
        .map(|c| if plain(c) { c } else { '_' })
        .collect();
    let text = text.trim_start_matches('.');
    if text.is_empty() {
        "_".to_owned()
    } else {
        text.to_owned()
    }
}
