//! What an experiment comes down to, before anything runs.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use medfocus_plugin_api::{DatasetReader, Error, Kind, Mode, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    config::{DatasetConfig, Experiment, Grid, MethodConfig, Misfits},
    record::CaseKey,
};
use crate::{
    boxes::BoxRule,
    config::Filling,
    workbench::{Provenance, Recipe, Workbench},
};

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
    /// The experiment as it was configured, defaults included.
    pub experiment: Experiment,
    /// Its datasets.
    pub datasets: Vec<PlannedDataset>,
    /// Where methods with a sweep are tuned, if any has one.
    pub tuning: Option<PlannedDataset>,
    /// Its models.
    pub models: Vec<PlannedModel>,
    /// Its methods.
    pub methods: Vec<PlannedMethod>,
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

/// One dataset, model and mode.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// Its dataset.
    pub dataset: String,
    /// Its model.
    pub model: String,
    /// How its questions ask to be answered.
    pub mode: Mode,
    /// Samples `0..samples`.
    pub samples: u64,
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
    /// Works out the config's experiment; loads datasets, but no model.
    ///
    /// # Errors
    ///
    /// The config has no experiment, or the experiment contradicts itself or the plugins at hand.
    pub fn new(bench: &Workbench) -> Result<Self> {
        let config = &bench.layers.config;
        let experiment = config.experiment.clone().ok_or_else(|| {
            Error::missing("the config has no `experiment` section")
                .with_hint("configs/demo.toml is an example")
        })?;
        check(&experiment)?;
        let datasets = experiment.datasets.iter();
        let datasets: Vec<_> = datasets
            .map(|dataset| planned_dataset(bench, dataset))
            .collect::<Result<_>>()?;
        let tuning = match &experiment.tuning {
            Some(tuning) => Some(planned_dataset(bench, &tuning.dataset)?),
            None => None,
        };
        distinct(
            "dataset",
            datasets.iter().chain(&tuning).map(|d| d.name.as_str()),
        )?;
        let models = experiment.models.iter();
        let models: Vec<_> = models
            .map(|name| Ok((name.clone(), bench.plan_model(name, Default::default())?)))
            .collect::<Result<_>>()?;
        let mut methods = Vec::new();
        let mut cells = Vec::new();
        for (dataset, (model, backend)) in pairs(experiment.grid, &datasets, &models)? {
            for &mode in &experiment.modes {
                let mut cell = Cell {
                    dataset: dataset.name.clone(),
                    model: model.clone(),
                    mode,
                    samples: dataset.samples,
                    methods: Vec::new(),
                    misfits: Vec::new(),
                };
                for method in &experiment.methods {
                    let name = method.label();
                    match bench.plan_method(&method.filling(), &backend.manifest) {
                        Ok(recipe) => {
                            cell.methods.push(name.to_owned());
                            if methods.iter().all(|m: &PlannedMethod| m.name != name) {
                                methods.push(planned_method(method, &recipe));
                            }
                        }
                        Err(error) if experiment.misfits == Misfits::Skip => {
                            cell.misfits.push(Misfit {
                                method: name.to_owned(),
                                reason: error.to_string(),
                            });
                        }
                        Err(error) => {
                            let otherwise =
                                "or leave the method out, or set `experiment.misfits` to \"skip\"";
                            let hint = match &error.hint {
                                Some(hint) => format!("{hint}, {otherwise}"),
                                None => otherwise.trim_start_matches("or ").to_owned(),
                            };
                            return Err(error
                                .context(format!("method `{name}` with model `{model}`"))
                                .with_hint(hint));
                        }
                    }
                }
                cells.push(cell);
            }
        }
        let slugs: Vec<_> = cells.iter().map(Cell::slug).collect();
        distinct("folder", slugs.iter().map(String::as_str))?;
        let order = |name: &str| experiment.methods.iter().position(|m| m.label() == name);
        methods.sort_by_key(|method| order(&method.name));
        let models = models.into_iter().map(|(name, recipe)| PlannedModel {
            name,
            backend: recipe.provenance,
        });
        let mut plan = Self {
            medfocus: env!("CARGO_PKG_VERSION").to_owned(),
            digest: String::new(),
            seed: config.seed,
            boxes: config.boxes,
            max_new_tokens: config.answer.max_new_tokens,
            datasets,
            tuning,
            models: models.collect(),
            methods,
            cells,
            experiment,
        };
        let text = plan.identity().to_string();
        plan.digest = format!("blake3:{}", blake3::hash(text.as_bytes()).to_hex());
        Ok(plan)
    }

    /// Where its results go.
    pub fn folder(&self) -> PathBuf {
        let name = slug(&self.experiment.name);
        let out = self.experiment.out.clone();
        out.unwrap_or_else(|| PathBuf::from("out").join(name))
    }

    /// What decides a sample's record, whichever samples there are.
    fn identity(&self) -> Value {
        let Experiment {
            answer,
            verdict,
            keep,
            curves,
            tuning,
            ..
        } = &self.experiment;
        json!({
            "medfocus": self.medfocus,
            "seed": self.seed,
            "boxes": self.boxes,
            "answer.max_new_tokens": self.max_new_tokens,
            "experiment.answer": answer,
            "experiment.verdict": verdict,
            "experiment.keep": keep,
            "experiment.curves": curves,
            "experiment.tuning": [json!(tuning.as_ref().map(|t| &t.metric)), json!(self.tuning)],
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
            let same = |m: &&PlannedModel| m.name == model.name && m.backend != model.backend;
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
}

impl Cell {
    /// Its samples.
    pub fn cases(&self) -> impl Iterator<Item = CaseKey> {
        (0..self.samples).map(|index| self.case(index))
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
        let mode = json!(self.mode);
        slug(&format!(
            "{}-{}-{}",
            self.dataset,
            self.model,
            mode.as_str().unwrap_or_default()
        ))
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

impl MethodConfig {
    /// The method with its own parameters.
    pub fn filling(&self) -> Filling {
        Filling {
            component: self.component.clone(),
            params: self.params.clone(),
            slots: self.slots.clone(),
        }
    }

    /// Every combination of the values to try, keys in their order, the last one fastest.
    fn candidates(&self) -> Vec<Map<String, Value>> {
        if self.sweep.is_empty() {
            return Vec::new();
        }
        let mut candidates = vec![Map::new()];
        for (key, values) in &self.sweep {
            candidates = candidates
                .iter()
                .flat_map(|candidate| {
                    values.iter().map(move |value| {
                        let mut candidate = candidate.clone();
                        candidate.insert(key.clone(), json!(value));
                        candidate
                    })
                })
                .collect();
        }
        candidates
    }
}

fn check(experiment: &Experiment) -> Result<()> {
    for (key, empty) in [
        ("datasets", experiment.datasets.is_empty()),
        ("models", experiment.models.is_empty()),
        ("methods", experiment.methods.is_empty()),
        ("modes", experiment.modes.is_empty()),
    ] {
        if empty {
            return Err(Error::invalid(format!("`experiment.{key}` is empty")));
        }
    }
    distinct("method", experiment.methods.iter().map(MethodConfig::label))
        .map_err(|error| error.with_hint("give one of them another `name`"))?;
    distinct("model", experiment.models.iter().map(String::as_str))?;
    for method in &experiment.methods {
        let name = method.label();
        if let Some((key, _)) = method.sweep.iter().find(|(_, values)| values.is_empty()) {
            return Err(Error::invalid(format!(
                "method `{name}` sweeps `{key}` over no value"
            )));
        }
        if let Some(key) = method
            .sweep
            .keys()
            .find(|key| method.params.contains_key(*key))
        {
            return Err(Error::invalid(format!(
                "method `{name}` both sets and sweeps `{key}`"
            )));
        }
        if !method.sweep.is_empty() && experiment.tuning.is_none() {
            return Err(Error::invalid(format!(
                "method `{name}` has a sweep, but there is no split to choose on"
            ))
            .with_hint("name one under `experiment.tuning.dataset`"));
        }
    }
    if let Some(tuning) = &experiment.tuning {
        super::tuning::check_metric(&tuning.metric)?;
    }
    Ok(())
}

fn distinct<'a>(what: &str, names: impl Iterator<Item = &'a str>) -> Result<()> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(Error::invalid(format!("two {what}s are called `{name}`")));
        }
    }
    Ok(())
}

fn planned_dataset(bench: &Workbench, dataset: &DatasetConfig) -> Result<PlannedDataset> {
    let recipe = bench.plan_component(Kind::Dataset, &dataset.filling())?;
    let info = DatasetReader::info(&bench.make(&recipe, None)?.client())?;
    Ok(PlannedDataset {
        samples: dataset.samples.unwrap_or(info.len).min(info.len),
        name: info.name,
        digest: info.digest,
        reader: recipe.provenance,
    })
}

impl DatasetConfig {
    /// The reader with its parameters.
    pub fn filling(&self) -> Filling {
        Filling {
            component: self.component.clone(),
            params: self.params.clone(),
            slots: BTreeMap::new(),
        }
    }
}

fn planned_method(method: &MethodConfig, recipe: &Recipe) -> PlannedMethod {
    let slots = &recipe.manifest.slots;
    PlannedMethod {
        name: method.label().to_owned(),
        control: slots.iter().all(|slot| slot.kind != Kind::Model),
        method: recipe.provenance.clone(),
        candidates: method.candidates(),
    }
}

/// Which dataset meets which model.
fn pairs<'a, D, M>(grid: Grid, datasets: &'a [D], models: &'a [M]) -> Result<Vec<(&'a D, &'a M)>> {
    match grid {
        Grid::Product => Ok(models
            .iter()
            .flat_map(|model| datasets.iter().map(move |dataset| (dataset, model)))
            .collect()),
        Grid::Paired if datasets.len() == models.len() => Ok(datasets.iter().zip(models).collect()),
        Grid::Paired => Err(Error::invalid(format!(
            "`experiment.grid` pairs {} datasets with {} models",
            datasets.len(),
            models.len()
        ))
        .with_hint("list as many of the one as of the other")),
    }
}
