//! How a plan is worked out of a config and the plugins at hand.

use std::collections::BTreeSet;

use medfocus_plugin_api::{
    ChoiceRequest, Chosen, Client, DatasetReader, Error, Kind, Mode, Result,
    manifest::ComponentManifest,
};
use serde_json::{Map, Value, json};

use super::{
    cast::with_params,
    config::{DatasetConfig, EditorConfig, Experiment, Grid, Keep, MethodConfig, Misfits},
    plan::{Cell, Misfit, Plan, PlannedDataset, PlannedEditor, PlannedMethod, PlannedModel, slug},
    variants,
};
use crate::{
    plugin::nearest,
    workbench::{Recipe, Workbench},
};

impl Plan {
    /// Works out the config's experiment; loads datasets, but no model.
    ///
    /// # Errors
    ///
    /// The config has no experiment, or the experiment contradicts itself or the plugins at hand.
    pub fn new(bench: &Workbench) -> Result<Self> {
        let config = &bench.layers.config;
        let mut experiment = config.experiment.clone().ok_or_else(|| {
            Error::missing("the config has no `experiment` section")
                .with_hint("configs/demo.toml is an example")
        })?;
        experiment.methods = variants::rows(&bench.registry, &experiment.methods)?;
        check(&experiment)?;
        let datasets = experiment.datasets.iter();
        let datasets: Vec<_> = datasets
            .map(|dataset| planned_dataset(bench, dataset))
            .collect::<Result<_>>()?;
        let (datasets, readers): (Vec<_>, Vec<_>) = datasets.into_iter().unzip();
        let tuning = match &experiment.tuning {
            Some(tuning) => Some(planned_dataset(bench, &tuning.dataset)?.0),
            None => None,
        };
        let editors = experiment.filter.iter().flat_map(|filter| &filter.editors);
        let editors = editors.map(|editor| planned_editor(bench, editor));
        let editors: Vec<PlannedEditor> = editors.collect::<Result<_>>()?;
        let flips = experiment.flips.as_ref();
        let flips = flips
            .map(|flips| planned_editor(bench, &flips.editor))
            .transpose()?;
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
        let read: Vec<_> = datasets.iter().zip(&readers).collect();
        for (&(dataset, reader), (model, backend)) in pairs(experiment.grid, &read, &models)? {
            for &mode in &experiment.modes {
                let chosen = chosen(dataset, reader, model, mode)?;
                let samples = chosen.as_ref().map(|chosen| chosen.len() as u64);
                let mut cell = Cell {
                    dataset: dataset.name.clone(),
                    model: model.clone(),
                    mode,
                    samples: samples.unwrap_or(dataset.samples),
                    chosen,
                    methods: Vec::new(),
                    misfits: Vec::new(),
                };
                for method in &experiment.methods {
                    let name = method.label();
                    match bench.plan_method(&method.filling(), &backend.manifest) {
                        Ok(recipe) => {
                            check_candidates(bench, method, &backend.manifest)?;
                            cell.methods.push(name.to_owned());
                            if methods.iter().all(|m: &PlannedMethod| m.name != name) {
                                methods.push(planned_method(bench, method, &recipe)?);
                            }
                        }
                        // A wrong parameter is no misfit.
                        Err(error) if error.key.is_some() => return Err(error),
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
            language_prior: config.answer.language_prior,
            datasets,
            tuning,
            models: models.collect(),
            methods,
            editors,
            flips,
            cells,
            experiment,
        };
        let text = plan.identity().to_string();
        plan.digest = format!("blake3:{}", blake3::hash(text.as_bytes()).to_hex());
        Ok(plan)
    }
}

impl MethodConfig {
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
        (
            "methods",
            experiment.methods.is_empty() && experiment.filter.is_none(),
        ),
        ("modes", experiment.modes.is_empty()),
    ] {
        if empty {
            return Err(Error::invalid(format!("`experiment.{key}` is empty")));
        }
    }
    let names = || experiment.methods.iter().map(MethodConfig::label);
    let pictures: Vec<String> = names().map(slug).collect();
    distinct("method", names())
        .and_then(|()| distinct("picture", pictures.iter().map(String::as_str)))
        .map_err(|error| error.with_hint("give one of them another `name`"))?;
    check_references(experiment)?;
    check_filter(experiment)?;
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

/// Whatever is compared with is a method.
fn check_references(experiment: &Experiment) -> Result<()> {
    let methods = &experiment.methods;
    let own = methods.iter().filter_map(|method| {
        let key = format!("method `{}`: `compare`", method.label());
        Some((key, method.compare.as_deref()?))
    });
    let common = experiment.compare.as_deref();
    let common = common.map(|name| ("`experiment.compare`".to_owned(), name));
    for (key, name) in common.into_iter().chain(own) {
        let mut labels = methods.iter().map(MethodConfig::label);
        if labels.clone().all(|label| label != name) {
            let hint = match nearest(name, labels.clone()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("name one, as `{}`", labels.next().unwrap_or_default()),
            };
            let message = format!("{key} is `{name}`, but no method is called so");
            return Err(Error::invalid(message).with_hint(hint));
        }
    }
    Ok(())
}

/// A filter has editors with names of their own; what is counted against one of them names it.
fn check_filter(experiment: &Experiment) -> Result<()> {
    let Some(filter) = &experiment.filter else {
        return match experiment.keep {
            Keep::Grounded => Err(Error::invalid(
                "`experiment.keep` is \"grounded\", but nothing says which samples are",
            )
            .with_hint("name an editor under `experiment.filter.editors`")),
            _ => Ok(()),
        };
    };
    let names = || filter.editors.iter().map(EditorConfig::label);
    if filter.editors.is_empty() {
        return Err(Error::invalid("`experiment.filter.editors` is empty"));
    }
    distinct("editor", names())
        .map_err(|error| error.with_hint("give one of them another `name`"))?;
    if let Some(editor) = filter.editors.iter().find(|editor| editor.draws == 0) {
        let name = editor.label();
        return Err(Error::invalid(format!("editor `{name}` has no draws")));
    }
    if let Some(name) = filter.reference.as_deref()
        && names().all(|label| label != name)
    {
        let message =
            format!("`experiment.filter.reference` is `{name}`, but no editor is called so");
        let hint = nearest(name, names()).map(|near| format!("did you mean `{near}`?"));
        let hint = hint.unwrap_or_else(|| format!("name one, as `{}`", filter.editors[0].label()));
        return Err(Error::invalid(message).with_hint(hint));
    }
    if filter.side < 8 {
        return Err(Error::invalid(format!(
            "`experiment.filter.side` is {}, which is too small for an image",
            filter.side
        )));
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

fn planned_dataset(bench: &Workbench, dataset: &DatasetConfig) -> Result<(PlannedDataset, Client)> {
    let recipe = bench.plan_component(Kind::Dataset, &dataset.filling())?;
    let reader = bench.share(&recipe)?.client();
    let info = DatasetReader::info(&reader)?;
    let planned = PlannedDataset {
        samples: dataset.samples.unwrap_or(info.len).min(info.len),
        name: info.name,
        digest: info.digest,
        reader: recipe.provenance,
    };
    Ok((planned, reader))
}

/// The samples that a dataset chooses for a model and mode, among those that take part.
fn chosen(
    dataset: &PlannedDataset,
    reader: &Client,
    model: &str,
    mode: Mode,
) -> Result<Option<Vec<Chosen>>> {
    let Some(mut chosen) = reader.chosen(&ChoiceRequest::new(model, mode))? else {
        return Ok(None);
    };
    if !chosen.is_sorted_by_key(|chosen| chosen.index) {
        return Err(Error::internal(format!(
            "the dataset `{}` does not choose its samples in ascending order",
            dataset.name
        )));
    }
    chosen.dedup_by_key(|chosen| chosen.index);
    chosen.retain(|chosen| chosen.index < dataset.samples);
    Ok(Some(chosen))
}

fn planned_editor(bench: &Workbench, editor: &EditorConfig) -> Result<PlannedEditor> {
    let recipe = bench
        .plan_component(Kind::Editor, &editor.filling())
        .map_err(|error| error.context(format!("editor `{}`", editor.label())))?;
    Ok(PlannedEditor {
        name: editor.label().to_owned(),
        draws: editor.draws,
        editor: bench.provenance(&recipe)?,
    })
}

fn planned_method(
    bench: &Workbench,
    method: &MethodConfig,
    recipe: &Recipe,
) -> Result<PlannedMethod> {
    let slots = &recipe.manifest.slots;
    Ok(PlannedMethod {
        name: method.label().to_owned(),
        control: slots.iter().all(|slot| slot.kind != Kind::Model),
        method: bench.provenance(recipe)?,
        candidates: method.candidates(),
    })
}

/// Every value that may be chosen is one that the method takes.
fn check_candidates(
    bench: &Workbench,
    method: &MethodConfig,
    model: &ComponentManifest,
) -> Result<()> {
    for candidate in method.candidates() {
        let mut filling = method.filling();
        with_params(&mut filling, &candidate)?;
        bench
            .plan_method(&filling, model)
            .map_err(|error| error.context("sweep"))?;
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_have_names_of_their_own() {
        let checked = |other: &str| {
            let experiment = json!({
                "name": "e", "datasets": [{ "component": "d" }], "models": ["m"],
                "methods": [{ "component": "a", "name": "a x=1" }, { "component": "a", "name": other }],
            });
            check(&serde_json::from_value(experiment).unwrap())
        };
        assert!(checked("a x=2").is_ok());
        assert_eq!(
            checked("a_x_1").unwrap_err().to_string(),
            "two pictures are called `a_x_1`; give one of them another `name`"
        );
    }

    #[test]
    fn what_is_compared_with_must_be_a_method() {
        let refused = |more: Value, own: Value| {
            let mut experiment = json!({
                "name": "e", "datasets": [{ "component": "d" }], "models": ["m"],
                "methods": [{ "component": "medfocus" }, { "component": "occlusion", "compare": own }],
            });
            experiment["compare"] = more;
            let checked = check(&serde_json::from_value(experiment).unwrap());
            checked.err().map(|error| error.to_string())
        };
        assert_eq!(refused(Value::Null, Value::Null), None);
        assert_eq!(refused(json!("occlusion"), json!("medfocus")), None);
        assert_eq!(
            refused(json!("medfocsu"), Value::Null).unwrap(),
            "`experiment.compare` is `medfocsu`, but no method is called so; did you mean `medfocus`?"
        );
        assert_eq!(
            refused(Value::Null, json!("rise")).unwrap(),
            "method `occlusion`: `compare` is `rise`, but no method is called so; name one, as `medfocus`"
        );
    }
}
