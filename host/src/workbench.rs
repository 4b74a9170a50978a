//! Components by name, made from the config, with their slots filled.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use medfocus_plugin_api::{
    Ability, Client, Error, Kind, Result,
    manifest::{ComponentManifest, SlotManifest},
};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    config::{Filling, Layers},
    libtorch::Libtorch,
    plugin::{Inspected, Instance, Library, Mediator, PluginId, Registry, Session},
};

/// A config, the plugins it names, and what they share.
pub struct Workbench {
    /// The merged config.
    pub layers: Layers,
    /// The plugins found.
    pub registry: Registry,
    /// Cancellation, progress and counts.
    pub session: Session,
    /// The process's libtorch.
    pub libtorch: Libtorch,
    loaded: Mutex<BTreeMap<PathBuf, Library>>,
}

/// A component ready to be called.
pub struct Ready {
    /// How it is called.
    pub instance: Arc<Instance>,
    /// What it is, for the record.
    pub provenance: Provenance,
    /// Its manifest.
    pub manifest: ComponentManifest,
}

/// What made a result.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Provenance {
    /// The component.
    pub component: String,
    /// The plugin it came from.
    pub plugin: PluginId,
    /// Its parameters, defaults included.
    pub params: Map<String, Value>,
}

impl Ready {
    /// The component through the trait of its kind.
    pub fn client(&self) -> Client {
        self.instance.client()
    }
}

impl Workbench {
    /// Finds the plugins of a config; loads none.
    pub fn new(layers: Layers) -> Self {
        let registry = Registry::discover(&layers.config.plugins.paths);
        let libtorch = Libtorch::new(layers.config.libtorch.dir.clone());
        Self {
            layers,
            registry,
            session: Session::default(),
            libtorch,
            loaded: Mutex::default(),
        }
    }

    /// Opens a plugin, once.
    ///
    /// # Errors
    ///
    /// See [`Library::open`].
    pub fn library(&self, plugin: &Inspected) -> Result<Library> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(library) = loaded.get(&plugin.path) {
            return Ok(library.clone());
        }
        let library = Library::open(plugin, &self.layers.config.plugins.pins, &self.libtorch)?;
        loaded.insert(plugin.path.clone(), library.clone());
        Ok(library)
    }

    /// Makes the model of `--model`: `COMPONENT=FOLDER`, or the name of a file in a model folder.
    ///
    /// # Errors
    ///
    /// There is no such model, or it cannot be loaded.
    pub fn model(&self, text: &str, device: Option<&str>) -> Result<Ready> {
        let mut filling = self.model_filling(text)?;
        let overrides = self.layers.config.model.clone();
        filling.params.extend(overrides);
        if let Some(device) = device {
            filling.params.insert("device".into(), device.into());
        }
        self.make(Kind::Model, "model", &filling, BTreeMap::new())
            .map_err(|error| self.layers.explain("model", error))
    }

    /// Makes a method around a model; the config fills its other slots.
    ///
    /// # Errors
    ///
    /// There is no such method, a slot it needs is empty, the model lacks an ability, or a
    /// parameter is wrong.
    pub fn method(&self, name: &str, model: &Ready) -> Result<Ready> {
        let filling = Filling {
            component: name.to_owned(),
            params: self.layers.config.method.clone(),
        };
        let slots = BTreeMap::from([("model".to_owned(), model)]);
        self.make(Kind::Method, "method", &filling, slots)
            .map_err(|error| self.layers.explain("method", error))
    }

    /// Makes a component. What its slots need is taken from `given`, then from the config.
    ///
    /// # Errors
    ///
    /// As for [`Workbench::method`].
    pub fn make(
        &self,
        kind: Kind,
        slot: &str,
        filling: &Filling,
        given: BTreeMap<String, &Ready>,
    ) -> Result<Ready> {
        let (plugin, manifest) = self.registry.find(kind, &filling.component)?;
        let mut slots = BTreeMap::new();
        for wanted in &manifest.slots {
            if let Some(filler) =
                self.fill(&filling.component, wanted, given.get(&wanted.name).copied())?
            {
                slots.insert(wanted.name.clone(), filler);
            }
        }
        let params = resolve(manifest, &filling.params)?;
        let library = self.library(plugin)?;
        let host = Mediator::boxed(&manifest.name, slots, self.session.clone());
        let component = library
            .create(&manifest.name, &Value::Object(params.clone()), host)
            .map_err(|error| error.context(format!("{} `{}`", kind.name(), manifest.name)))?;
        Ok(Ready {
            instance: Instance::new(slot, component, self.session.clone()),
            provenance: Provenance {
                component: manifest.name.clone(),
                plugin: library.id,
                params,
            },
            manifest: manifest.clone(),
        })
    }

    fn fill(
        &self,
        user: &str,
        slot: &SlotManifest,
        given: Option<&Ready>,
    ) -> Result<Option<Arc<Instance>>> {
        if let Some(given) = given {
            fits(user, slot, given)?;
            return Ok(Some(given.instance.clone()));
        }
        match self.layers.config.slots.get(&slot.name) {
            Some(filling) => {
                let made = self.make(slot.kind, &slot.name, filling, BTreeMap::new())?;
                fits(user, slot, &made)?;
                Ok(Some(made.instance))
            }
            None if slot.required => Err(Error::missing(format!(
                "`{user}` needs a {} in its slot `{}`, which is empty",
                slot.kind.name(),
                slot.name
            ))
            .with_hint(format!(
                "name one in the config under `slots.{}.component`",
                slot.name
            ))),
            None => Ok(None),
        }
    }

    fn model_filling(&self, text: &str) -> Result<Filling> {
        if let Some((component, folder)) = text.split_once('=') {
            return Ok(Filling {
                component: component.to_owned(),
                params: [("path".to_owned(), folder.into())].into(),
            });
        }
        let file = format!("{text}.toml");
        let folders = &self.layers.config.model_folders;
        let Some(path) = folders
            .iter()
            .map(|folder| folder.join(&file))
            .find(|path| path.is_file())
        else {
            let places: Vec<_> = folders
                .iter()
                .map(|folder| folder.display().to_string())
                .collect();
            return Err(Error::missing(format!("there is no model {file} in {}", places.join(", ")))
                .with_hint("name a file there, or write --model COMPONENT=FOLDER, as gemma3=path/to/checkpoint"));
        };
        read_model(&path)
    }
}

/// A model file: `component`, and `params` in which a relative `path` starts at the file's folder.
fn read_model(file: &std::path::Path) -> Result<Filling> {
    use figment::providers::{Format, Toml};
    let mut filling: Filling = figment::Figment::from(Toml::file_exact(file))
        .extract()
        .map_err(|error| Error::invalid(format!("model {}: {error}", file.display())))?;
    let relative = filling
        .params
        .get("path")
        .and_then(|path| path.as_str())
        .map(PathBuf::from);
    if let Some(path) = relative.filter(|path| path.is_relative()) {
        let path = file.parent().unwrap_or(&path).join(&path);
        filling
            .params
            .insert("path".into(), path.display().to_string().into());
    }
    Ok(filling)
}

/// Whether a component fits a slot.
fn fits(user: &str, slot: &SlotManifest, component: &Ready) -> Result<()> {
    let name = &component.manifest.name;
    if component.manifest.kind != slot.kind {
        return Err(Error::invalid(format!(
            "`{user}` needs a {} in its slot `{}`; `{name}` is a {}",
            slot.kind.name(),
            slot.name,
            component.manifest.kind.name()
        )));
    }
    let lacking: Vec<_> = slot
        .abilities
        .iter()
        .filter(|ability| !component.manifest.abilities.contains(ability))
        .map(|ability: &Ability| ability.name())
        .collect();
    if lacking.is_empty() {
        return Ok(());
    }
    Err(Error::unsupported(format!(
        "`{user}` needs a model that can {}, which `{name}` cannot",
        lacking.join(" and ")
    )))
}

/// The manifest's defaults under the config's values.
fn resolve(
    manifest: &ComponentManifest,
    given: &figment::value::Dict,
) -> Result<Map<String, Value>> {
    let mut params = Map::new();
    if let Some(properties) = manifest.params["properties"].as_object() {
        for (name, property) in properties {
            params.insert(name.clone(), property["default"].clone());
        }
    }
    for (name, value) in given {
        let value = serde_json::to_value(value)
            .map_err(|error| Error::invalid(format!("parameter `{name}` is not JSON: {error}")))?;
        params.insert(name.clone(), value);
    }
    Ok(params)
}
