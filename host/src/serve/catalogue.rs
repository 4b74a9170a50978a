//! What can be asked: models, methods and what of them may be set from outside.

use std::path::Path;

use medfocus_plugin_api::{Error, Kind, Mode, Result};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::workbench::{Recipe, Workbench, on};

/// Questions that a reader of chest X-rays asks.
const QUESTIONS: [&str; 6] = [
    "Is there evidence of consolidation in the image?",
    "Is there evidence of pleural effusion in the image?",
    "Is there evidence of pneumothorax in the image?",
    "Is there evidence of cardiomegaly in the image?",
    "Is there evidence of a lung nodule in the image?",
    "Is there evidence of atelectasis in the image?",
];

/// Everything that is offered.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Offers {
    /// Version of this program.
    medfocus: &'static str,
    /// The models.
    models: Vec<Model>,
    /// The methods.
    methods: Vec<Method>,
    /// Ways to answer.
    modes: Vec<&'static str>,
    /// Questions to begin with.
    questions: Vec<&'static str>,
    /// Bytes of an image, at most.
    pub upload_bytes: usize,
}

/// A model.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct Model {
    name: String,
    /// What it is.
    summary: String,
    /// Names of the methods that work with it.
    methods: Vec<String>,
}

/// A method.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct Method {
    name: String,
    /// What it does.
    summary: String,
    /// JSON Schema of each parameter that a question may set: numbers, switches and choices.
    #[schema(value_type = Object)]
    params: Map<String, Value>,
}

/// The offers, and how each model is made.
pub struct Catalogue {
    /// As they are told.
    pub offers: Offers,
    recipes: Vec<(String, Recipe)>,
}

impl Catalogue {
    /// The models of these names, or all of the model folders whose checkpoint is there, and the methods that work with one of
    /// them; loads nothing.
    ///
    /// # Errors
    ///
    /// One that is named does not exist, two are called the same, or there is none at all.
    pub fn new(
        bench: &Workbench,
        named: &[String],
        device: Option<&str>,
        upload_bytes: usize,
    ) -> Result<Self> {
        let mut recipes: Vec<(String, Recipe)> = Vec::new();
        for text in named {
            let name = text.split_once('=').map_or(text.as_str(), |(name, _)| name);
            if recipes.iter().any(|(other, _)| other == name) {
                return Err(Error::invalid(format!("two models are called `{name}`"))
                    .with_hint("give one of them a file in a model folder"));
            }
            recipes.push((name.to_owned(), bench.plan_model(text, on(device))?));
        }
        if named.is_empty() {
            let all = bench.model_names();
            let planned = all
                .into_iter()
                .map(|name| Ok((name.clone(), bench.plan_model(&name, on(device))?)));
            let planned = planned.filter(|planned: &Result<(String, Recipe)>| match planned {
                Ok((_, recipe)) => has_checkpoint(recipe),
                Err(_) => true,
            });
            recipes = planned.collect::<Result<_>>()?;
        }
        if recipes.is_empty() {
            return Err(
                Error::missing("no model folder holds a model whose checkpoint is here")
                    .with_hint("name one with --model, as --model gemma3=path/to/checkpoint"),
            );
        }
        let methods: Vec<_> = bench
            .registry
            .components(Kind::Method)
            .map(|(_, manifest)| manifest)
            .collect();
        let models: Vec<_> = recipes
            .iter()
            .map(|(name, recipe)| {
                let works = |method: &str| bench.plan_own_method(method, &recipe.manifest).is_ok();
                Model {
                    name: name.clone(),
                    summary: recipe.manifest.summary.clone(),
                    methods: methods
                        .iter()
                        .map(|method| method.name.clone())
                        .filter(|method| works(method))
                        .collect(),
                }
            })
            .collect();
        let used = |name: &String| models.iter().any(|model| model.methods.contains(name));
        let methods = methods
            .into_iter()
            .filter(|method| used(&method.name))
            .map(|manifest| Method {
                name: manifest.name.clone(),
                summary: manifest.summary.clone(),
                params: settable(&manifest.params),
            });
        Ok(Self {
            offers: Offers {
                medfocus: env!("CARGO_PKG_VERSION"),
                methods: methods.collect(),
                models,
                modes: Mode::ALL.map(Mode::name).to_vec(),
                questions: QUESTIONS.to_vec(),
                upload_bytes,
            },
            recipes,
        })
    }

    /// How the model of this name is made.
    ///
    /// # Errors
    ///
    /// None is offered.
    pub fn model(&self, name: &str) -> Result<&Recipe> {
        let found = self.recipes.iter().find(|(own, _)| own == name);
        found.map(|(_, recipe)| recipe).ok_or_else(|| {
            Error::missing("there is no such model here").with_hint("see /api/offers")
        })
    }

    /// The parameters that a question gives, if it may set them.
    ///
    /// # Errors
    ///
    /// There is no such method, or it may not.
    pub fn check(&self, method: &str, params: &Map<String, Value>) -> Result<()> {
        let methods = &self.offers.methods;
        let method = methods
            .iter()
            .find(|own| own.name == method)
            .ok_or_else(|| {
                Error::missing("there is no such method here").with_hint("see /api/offers")
            })?;
        match params.keys().find(|key| !method.params.contains_key(*key)) {
            Some(_) => Err(Error::invalid(format!(
                "a parameter is none that a question may set of `{}`",
                method.name
            ))
            .with_hint("see /api/offers; texts are set in the server's config")),
            None => Ok(()),
        }
    }

    /// The devices of the models, each once.
    pub fn devices(&self) -> Vec<String> {
        let mut devices: Vec<_> = self
            .recipes
            .iter()
            .map(|(_, recipe)| device(recipe))
            .collect();
        devices.sort();
        devices.dedup();
        devices
    }
}

/// Which device a model computes on, as its parameter `device` says.
pub fn device(model: &Recipe) -> String {
    let device = model
        .provenance
        .params
        .get("device")
        .and_then(Value::as_str);
    device.unwrap_or_default().to_owned()
}

/// Whether a model is here. To one on another machine images go only where it is named.
fn has_checkpoint(model: &Recipe) -> bool {
    let path = model.provenance.params.get("path").and_then(Value::as_str);
    path.is_some_and(|path| Path::new(path).exists())
}

/// Parameters that are no free text: a text may be the name of a file.
fn settable(schema: &Value) -> Map<String, Value> {
    let fields = schema["properties"].as_object().into_iter().flatten();
    let free = |field: &Value| {
        let types = &field["type"];
        let texts = types == "string"
            || types
                .as_array()
                .is_some_and(|types| types.contains(&"string".into()));
        texts && field.get("enum").is_none()
    };
    let settable = fields.filter(|(_, field)| !free(field));
    settable
        .map(|(name, field)| (name.clone(), field.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_are_not_set_from_outside() {
        let schema = json!({"properties": {
            "cells": {"type": "integer"},
            "on": {"type": "boolean"},
            "fill": {"type": "string", "enum": ["zero", "mean"]},
            "path": {"type": "string"},
            "text": {"type": ["string", "null"]},
        }});
        let names: Vec<_> = settable(&schema)
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert_eq!(names, ["cells", "fill", "on"]);
        assert!(settable(&json!(null)).is_empty());
    }
}
