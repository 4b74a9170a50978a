//! Components by name, made from the config, with their slots filled.

mod fit;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use figment::value::Dict;
use medfocus_plugin_api::{
    Client, DatasetReader, Error, ErrorKind, Kind, ModelInfo, Result, VisionLanguageModel,
    abi::{ComponentBox, HostBox},
    manifest::ComponentManifest,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    audit::{Audit, Event},
    config::{Filling, Layers, ModelFile, relative},
    isolation::{Start, pictures::Pictures, remote::Remote},
    libtorch::Libtorch,
    params,
    plugin::{
        Contents, Copies, Decode, Gate, Inspected, Instance, Library, Mediator, PluginId, Registry,
        Session, nearest,
    },
    study::{self, Study},
    trust::Voucher,
};

/// The parameter with which a model only looks at its checkpoint.
const INSPECT: &str = "inspect";
/// The component that leaves a slot empty.
const NOTHING: &str = "none";

/// A config, the plugins it names, and what they share.
pub struct Workbench {
    /// The merged config.
    pub layers: Layers,
    /// The plugins found.
    pub registry: Registry,
    /// Cancellation, progress and counts.
    pub session: Session,
    /// The process's libtorch.
    pub libtorch: Arc<Libtorch>,
    /// Where it is written down what is made and read.
    pub audit: Audit,
    known: Arc<Mutex<BTreeMap<PathBuf, Known>>>,
    /// What fills slots, as long as anything uses it.
    shared: Arc<Mutex<BTreeMap<String, Weak<ComponentBox>>>>,
}

/// A plugin as it was first seen.
struct Known {
    id: PluginId,
    library: Option<Library>,
}

type Slots = BTreeMap<String, Arc<Instance>>;

/// A component that can be made: all is checked that can be without running its code.
#[derive(Clone, Debug)]
pub struct Recipe {
    plugin: Inspected,
    /// The component's manifest.
    pub manifest: ComponentManifest,
    /// For the record.
    pub provenance: Provenance,
    /// What the config puts into its slots.
    slots: BTreeMap<String, Recipe>,
    /// How to get what it needs and is not there.
    how_to_get: Option<String>,
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// The component.
    pub component: String,
    /// The plugin it came from.
    pub plugin: PluginId,
    /// Its parameters, defaults included.
    pub params: Map<String, Value>,
    /// The digest of the samples of a dataset in a slot, once it was opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples: Option<String>,
    /// What the config put into its slots.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub slots: BTreeMap<String, Provenance>,
}

impl Ready {
    /// The component through the trait of its kind.
    pub fn client(&self) -> Client {
        self.instance.client()
    }

    /// Its provenance as what fills a slot: a path alone does not say which samples a dataset has.
    fn in_slot(&self) -> Result<Provenance> {
        let mut provenance = self.provenance.clone();
        if self.manifest.kind == Kind::Dataset {
            provenance.samples = Some(DatasetReader::info(&self.client())?.digest);
        }
        Ok(provenance)
    }
}

impl Workbench {
    /// Finds the plugins of a config; loads none.
    pub fn new(layers: Layers) -> Self {
        let registry = Registry::discover(&layers.config.plugins.paths);
        let libtorch = Arc::new(Libtorch::new(layers.config.libtorch.dir.clone()));
        Self {
            layers,
            registry,
            session: Session::default(),
            libtorch,
            audit: Audit::default(),
            known: Arc::default(),
            shared: Arc::default(),
        }
    }

    /// Another bench for another thread: the same config, plugins and cancellation, counts of its own.
    pub fn fork(&self) -> Self {
        Self {
            layers: self.layers.clone(),
            registry: self.registry.clone(),
            session: self.session.fork(),
            libtorch: self.libtorch.clone(),
            audit: self.audit.clone(),
            known: self.known.clone(),
            shared: self.shared.clone(),
        }
    }

    /// Another bench with the same config and plugins, which is cancelled for itself and shares no component with this one:
    /// a component is cancelled with the bench that made it.
    pub fn apart(&self) -> Self {
        Self {
            session: Session::default(),
            shared: Arc::default(),
            ..self.fork()
        }
    }

    /// How image files are decoded.
    pub fn decoder(&self) -> Decode {
        let pictures = Pictures::new(&self.layers.config.plugins.isolation);
        let session = self.session.clone();
        Arc::new(move |bytes| pictures.decode(bytes, &|| session.cancelled()))
    }

    /// The image in a file.
    ///
    /// # Errors
    ///
    /// Those of [`study::bytes`] and [`Workbench::decode`].
    pub fn study(&self, path: &Path) -> Result<Study> {
        self.decode(&study::bytes(path)?)
            .map_err(|error| error.context(format!("image {}", path.display())))
    }

    /// The image in the bytes of a file.
    ///
    /// # Errors
    ///
    /// Those of [`Study::read`], and of the audit log.
    pub fn decode(&self, bytes: &[u8]) -> Result<Study> {
        let study = Study::read(bytes, &*self.decoder())?;
        let image = study.source.digest.clone();
        self.audit.record(Event::Read { image })?;
        Ok(study)
    }

    /// Which build of a plugin this bench works with: the one it saw first.
    ///
    /// # Errors
    ///
    /// Its file cannot be read.
    pub fn identity(&self, plugin: &Inspected) -> Result<PluginId> {
        let mut known = lock(&self.known);
        if let Some(known) = known.get(&plugin.path) {
            return Ok(known.id.clone());
        }
        let id = Contents::read(plugin)?.id;
        let seen = Known {
            id: id.clone(),
            library: None,
        };
        known.insert(plugin.path.clone(), seen);
        Ok(id)
    }

    /// What lets plugins pass.
    fn gate(&self) -> Gate {
        let pins = self.layers.config.plugins.pins.clone();
        Gate::new(pins, self.layers.trust.clone())
    }

    /// Who vouches for a plugin that may be loaded; loads it not.
    ///
    /// # Errors
    ///
    /// It may not be loaded, or its file cannot be read.
    pub fn voucher(&self, plugin: &Inspected) -> Result<Voucher> {
        self.gate().admit(&plugin.path, &Contents::read(plugin)?)
    }

    /// A plugin that has a process of its own, if it passes the gate and is still the one that was seen first.
    ///
    /// # Errors
    ///
    /// It does not, it is another one, or its file cannot be read.
    fn allowed(&self, plugin: &Inspected) -> Result<(Contents, Voucher)> {
        let seen = self.identity(plugin)?;
        let contents = Contents::read(plugin)?;
        if contents.id != seen {
            let path = plugin.path.display();
            let error =
                Error::invalid(format!("plugin {path} has changed since the plan was made"));
            return Err(error.with_hint("give the command again"));
        }
        let voucher = self.gate().admit(&plugin.path, &contents)?;
        Ok((contents, voucher))
    }

    /// The build of a plugin that can be used, and who vouches for it: a library is opened for that, another program is
    /// not started.
    ///
    /// # Errors
    ///
    /// Those of [`Workbench::library`]; for another program, those that come before it would be started.
    pub fn usable(&self, plugin: &Inspected) -> Result<(PluginId, Voucher)> {
        if plugin.is_script() {
            let (contents, voucher) = self.allowed(plugin)?;
            return Ok((contents.id, voucher));
        }
        let library = self.library(plugin)?;
        Ok((library.id, library.voucher))
    }

    /// Opens a plugin, once.
    ///
    /// # Errors
    ///
    /// See [`Library::open`]; its file is not the one that [`Workbench::identity`] saw.
    pub fn library(&self, plugin: &Inspected) -> Result<Library> {
        let mut known = lock(&self.known);
        let seen = known.get(&plugin.path);
        if let Some(library) = seen.and_then(|known| known.library.as_ref()) {
            return Ok(library.clone());
        }
        let planned = seen.map(|known| &known.id);
        let library = Library::open(plugin, planned, &self.gate(), &self.libtorch)?;
        let opened = Known {
            id: library.id.clone(),
            library: Some(library.clone()),
        };
        known.insert(plugin.path.clone(), opened);
        Ok(library)
    }

    /// The model of `--model`: `COMPONENT=FOLDER`, or the name of a file in a model folder. The config's `model`
    /// section and then `overrides` go over its own parameters.
    ///
    /// # Errors
    ///
    /// There is no such model.
    pub fn plan_model(&self, text: &str, overrides: Dict) -> Result<Recipe> {
        let file = self.model_file(text)?;
        let mut filling = match &file {
            Some(file) => file.filling(),
            None => named_with_folder(text),
        };
        filling.params.extend(self.layers.config.model.clone());
        filling.params.extend(overrides);
        Ok(Recipe {
            how_to_get: file.and_then(|file| file.how_to_get()),
            ..self.recipe(Kind::Model, &filling, None)?
        })
    }

    /// Says what the model of `--model` is without reading its weights, if its component can; else it is loaded.
    ///
    /// # Errors
    ///
    /// Those of [`Workbench::model`].
    pub fn inspect_model(&self, text: &str, device: Option<&str>) -> Result<ModelInfo> {
        let mut overrides = on(device);
        if inspects(&self.plan_model(text, Dict::new())?.manifest) {
            overrides.insert(INSPECT.to_owned(), true.into());
        }
        let recipe = self.plan_model(text, overrides)?;
        VisionLanguageModel::info(&self.make(&recipe, None)?.client())
    }

    /// Models, as `COMPONENT=FOLDER`, that this folder may be a checkpoint of: each that can look at one.
    pub fn models_of(&self, folder: &str) -> Vec<String> {
        let models = self.registry.components(Kind::Model);
        models
            .filter(|(_, manifest)| inspects(manifest) && takes(manifest, "path"))
            .map(|(_, manifest)| format!("{}={folder}", manifest.name))
            .collect()
    }

    /// A method for a model; the config fills its other slots.
    ///
    /// # Errors
    ///
    /// There is no such method, a slot it needs is empty, or the model lacks an ability.
    pub fn plan_method(&self, filling: &Filling, model: &ComponentManifest) -> Result<Recipe> {
        self.recipe(Kind::Method, filling, Some(model))
    }

    /// A component that needs no other but what the config puts into its slots.
    ///
    /// # Errors
    ///
    /// There is none, or a slot it needs is empty.
    pub fn plan_component(&self, kind: Kind, filling: &Filling) -> Result<Recipe> {
        self.recipe(kind, filling, None)
    }

    /// Makes the model of `--model`; see [`Workbench::plan_model`].
    ///
    /// # Errors
    ///
    /// There is no such model, or it cannot be loaded.
    pub fn model(&self, text: &str, device: Option<&str>) -> Result<Ready> {
        self.make(&self.plan_model(text, on(device))?, None)
    }

    /// The method of `--method` for a model; the config's `method` section are its parameters.
    ///
    /// # Errors
    ///
    /// Those of [`Workbench::plan_method`].
    pub fn plan_own_method(&self, name: &str, model: &ComponentManifest) -> Result<Recipe> {
        let filling = Filling {
            component: name.to_owned(),
            params: self.layers.config.method.clone(),
            slots: BTreeMap::new(),
        };
        self.plan_method(&filling, model)
    }

    /// Makes the method of `--method` around a model.
    ///
    /// # Errors
    ///
    /// Those of [`Workbench::plan_method`] and [`Workbench::make`].
    pub fn method(&self, name: &str, model: &Ready) -> Result<Ready> {
        self.make(&self.plan_own_method(name, &model.manifest)?, Some(model))
    }

    /// Finds a component and what fills its slots: the model that is given, then what the config names.
    fn recipe(
        &self,
        kind: Kind,
        filling: &Filling,
        model: Option<&ComponentManifest>,
    ) -> Result<Recipe> {
        let (plugin, manifest) = self.registry.find(kind, &filling.component)?;
        let user = &filling.component;
        self.check_slots(filling, manifest)?;
        let mut slots = BTreeMap::new();
        for slot in &manifest.slots {
            if let Some(model) = model.filter(|_| slot.kind == Kind::Model) {
                fit::check(user, slot, model)?;
            } else if let Some(filling) = self.slot_filling(filling, &slot.name) {
                let recipe = self
                    .recipe(slot.kind, filling, None)
                    .map_err(|error| error.context(format!("slot `{}` of `{user}`", slot.name)))?;
                fit::check(user, slot, &recipe.manifest)?;
                slots.insert(slot.name.clone(), recipe);
            } else if slot.required {
                return Err(fit::empty(user, slot));
            }
        }
        let given = params::of_config(&filling.params)?;
        let params = params::resolve(manifest, &given)
            .map_err(|error| self.wrong(manifest, &given, error))?;
        let inner = slots.iter();
        Ok(Recipe {
            provenance: Provenance {
                component: manifest.name.clone(),
                plugin: self.identity(plugin)?,
                params,
                samples: None,
                slots: inner
                    .map(|(name, recipe)| (name.clone(), recipe.provenance.clone()))
                    .collect(),
            },
            plugin: plugin.clone(),
            manifest: manifest.clone(),
            slots,
            how_to_get: None,
        })
    }

    /// Refuses what would fill no slot: one of the component's own `slots` that it has not, and one of the config's whose
    /// name is nearly that of a slot. (Another may be for a plugin that is not here.)
    fn check_slots(&self, filling: &Filling, manifest: &ComponentManifest) -> Result<()> {
        let names = |component: &'_ ComponentManifest| -> Vec<String> {
            component
                .slots
                .iter()
                .map(|slot| slot.name.clone())
                .collect()
        };
        let own = names(manifest);
        if let Some(name) = filling.slots.keys().find(|name| !own.contains(name)) {
            let error = Error::invalid(format!("`{}` has no slot `{name}`", manifest.name));
            return Err(
                error.with_hint(match nearest(name, own.iter().map(String::as_str)) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("see `medfocus plugins describe {}`", manifest.name),
                }),
            );
        }
        let components = self.registry.plugins().iter();
        let components = components.flat_map(|plugin| &plugin.manifest.components);
        let all: Vec<_> = components.flat_map(names).collect();
        for name in self
            .layers
            .config
            .slots
            .keys()
            .filter(|name| !all.contains(name))
        {
            if let Some(near) = nearest(name, all.iter().map(String::as_str)) {
                let message = format!("config: no component has a slot `{name}`");
                return Err(Error::invalid(message).with_hint(format!("did you mean `{near}`?")));
            }
        }
        Ok(())
    }

    /// What the config puts into a slot of a component, if anything.
    fn slot_filling<'a>(&'a self, user: &'a Filling, slot: &str) -> Option<&'a Filling> {
        let filling = user
            .slots
            .get(slot)
            .or_else(|| self.layers.config.slots.get(slot));
        filling.filter(|filling| filling.component != NOTHING)
    }

    /// Makes a component; `model` goes into its model slot.
    ///
    /// # Errors
    ///
    /// A parameter is wrong, or whatever else the component's constructor fails with.
    pub fn make(&self, recipe: &Recipe, model: Option<&Ready>) -> Result<Ready> {
        let (slots, provenance) = self.fill(recipe, model)?;
        let component = self.create(recipe, slots)?;
        Ok(self.ready(recipe, component, provenance))
    }

    /// The component of this recipe that is in use already, here or on another fork of the same bench, or else a new
    /// one. One whose own slots are filled counts its calls in one session, and so is shared within that alone.
    ///
    /// # Errors
    ///
    /// Those of [`Workbench::make`].
    pub fn share(&self, recipe: &Recipe) -> Result<Ready> {
        let (slots, provenance) = self.fill(recipe, None)?;
        let session = (!slots.is_empty()).then(|| self.session.number());
        let key = json!([recipe.manifest.kind, provenance, session]).to_string();
        // Held while one is made, lest another thread make it, too.
        let mut shared = lock(&self.shared);
        let component = match shared.get(&key).and_then(Weak::upgrade) {
            Some(component) => component,
            None => {
                let component = self.create(recipe, slots)?;
                shared.retain(|_, component| component.strong_count() > 0);
                shared.insert(key, Arc::downgrade(&component));
                component
            }
        };
        Ok(self.ready(recipe, component, provenance))
    }

    /// What goes into a component's slots, and how that is recorded.
    fn fill(&self, recipe: &Recipe, model: Option<&Ready>) -> Result<(Slots, Provenance)> {
        let mut slots = Slots::new();
        let mut provenance = recipe.provenance.clone();
        for slot in &recipe.manifest.slots {
            if let Some(inner) = recipe.slots.get(&slot.name) {
                let made = self.share(inner)?;
                slots.insert(slot.name.clone(), made.instance.named(&slot.name));
                provenance.slots.insert(slot.name.clone(), made.in_slot()?);
            } else if let Some(model) = model.filter(|_| slot.kind == Kind::Model) {
                // What a model on a server can is known once it was asked.
                if !slot.abilities.is_empty() {
                    let info = VisionLanguageModel::info(&model.client())?;
                    fit::check_abilities(
                        &recipe.manifest.name,
                        slot,
                        &info.family,
                        &info.abilities,
                    )?;
                }
                slots.insert(slot.name.clone(), model.instance.clone());
            }
        }
        Ok((slots, provenance))
    }

    fn create(&self, recipe: &Recipe, slots: Slots) -> Result<Arc<ComponentBox>> {
        let name = &recipe.manifest.name;
        let params = &recipe.provenance.params;
        let host = Mediator::boxed(name, slots, self.session.clone(), self.decoder());
        let component = self
            .component(recipe, Value::Object(params.clone()), host)
            .map_err(|error| match &recipe.how_to_get {
                Some(how) if error.kind == ErrorKind::Missing => error.with_hint(how),
                _ => error,
            })
            .map_err(|error| self.wrong(&recipe.manifest, params, error))?;
        tracing::debug!(component = name, "made");
        let component = Arc::new(component);
        self.note(recipe, &component)?;
        Ok(component)
    }

    /// Writes down that a component was made.
    fn note(&self, recipe: &Recipe, component: &Arc<ComponentBox>) -> Result<()> {
        if !self.audit.is_kept() {
            return Ok(());
        }
        let kind = recipe.manifest.kind;
        let checkpoint = (kind == Kind::Model).then(|| {
            // The question counts for nobody.
            let instance = Instance::new(kind.name(), component.clone(), self.session.fork());
            VisionLanguageModel::info(&instance.client())
        });
        self.audit.record(Event::Made {
            kind: kind.name().to_owned(),
            component: recipe.manifest.name.clone(),
            plugin: recipe.provenance.plugin.digest.clone(),
            checkpoint: checkpoint.transpose()?.map(|info| info.digest),
        })
    }

    /// The component itself, in this process or in one of its own.
    fn component(&self, recipe: &Recipe, params: Value, host: HostBox) -> Result<ComponentBox> {
        let (plugin, name) = (&recipe.plugin, &recipe.manifest.name);
        let config = &self.layers.config;
        let isolation = &config.plugins.isolation;
        if !isolation.isolates(plugin) {
            return self.library(plugin)?.create(name, &params, host);
        }
        let (contents, _) = self.allowed(plugin)?;
        let script = contents.copies.as_ref().map(Copies::seal).transpose()?;
        let start = Start {
            plugin: plugin.path.clone(),
            id: contents.id,
            component: name.clone(),
            params,
            libtorch: config.libtorch.dir.clone(),
            isolation: isolation.clone(),
        };
        Remote::boxed(start, script, host)
    }

    /// An error of a component with its name and, where it is about a parameter, where that was set.
    fn wrong(
        &self,
        component: &ComponentManifest,
        params: &Map<String, Value>,
        error: Error,
    ) -> Error {
        let kind = component.kind;
        let error = error.context(format!("{} `{}`", kind.name(), component.name));
        self.layers.explain(kind, params, error)
    }

    fn ready(
        &self,
        recipe: &Recipe,
        component: Arc<ComponentBox>,
        provenance: Provenance,
    ) -> Ready {
        let kind = recipe.manifest.kind.name();
        Ready {
            instance: Instance::new(kind, component, self.session.clone()),
            provenance,
            manifest: recipe.manifest.clone(),
        }
    }

    /// The provenance of a recipe with the samples of the datasets in its slots, which it opens.
    ///
    /// # Errors
    ///
    /// A dataset cannot be opened.
    pub fn provenance(&self, recipe: &Recipe) -> Result<Provenance> {
        let mut provenance = recipe.provenance.clone();
        for (slot, inner) in &recipe.slots {
            let filled = match inner.manifest.kind {
                Kind::Dataset => self.share(inner)?.in_slot()?,
                _ => self.provenance(inner)?,
            };
            provenance.slots.insert(slot.clone(), filled);
        }
        Ok(provenance)
    }

    /// Names of the models in the model folders.
    pub fn model_names(&self) -> Vec<String> {
        let folders = self.layers.config.model_folders.iter();
        let entries = folders.filter_map(|folder| folder.read_dir().ok());
        let files = entries.flatten().flatten().map(|entry| entry.path());
        let files = files.filter(|file| file.extension().is_some_and(|end| end == "toml"));
        let names: BTreeSet<_> = files
            .filter_map(|file| Some(file.file_stem()?.to_str()?.to_owned()))
            .collect();
        names.into_iter().collect()
    }

    /// The file of this name in a model folder; None for `COMPONENT=FOLDER`.
    ///
    /// # Errors
    ///
    /// There is no such file, or it is broken.
    pub fn model_file(&self, text: &str) -> Result<Option<ModelFile>> {
        if text.contains('=') {
            return Ok(None);
        }
        let path = self.model_place(text)?;
        relative::read(&path)
            .map(Some)
            .map_err(|error| Error::invalid(format!("model {}: {error}", path.display())))
    }

    /// Where the file of this name is in a model folder.
    ///
    /// # Errors
    ///
    /// There is no such file.
    pub fn model_place(&self, name: &str) -> Result<PathBuf> {
        let file = format!("{name}.toml");
        let folders = &self.layers.config.model_folders;
        let mut paths = folders.iter().map(|folder| folder.join(&file));
        paths.find(|path| path.is_file()).ok_or_else(|| {
            let places: Vec<_> = folders
                .iter()
                .map(|folder| folder.display().to_string())
                .collect();
            Error::missing(format!("there is no model {file} in {}", places.join(", ")))
                .with_hint("name a file there, or write --model COMPONENT=FOLDER, as gemma3=path/to/checkpoint")
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A model given as `COMPONENT=FOLDER`.
fn named_with_folder(text: &str) -> Filling {
    let (component, folder) = text.split_once('=').unwrap_or((text, ""));
    Filling {
        component: component.to_owned(),
        params: [("path".to_owned(), folder.into())].into(),
        slots: BTreeMap::new(),
    }
}

/// Whether a model can look at its checkpoint, or for its server, without more.
fn inspects(manifest: &ComponentManifest) -> bool {
    takes(manifest, INSPECT)
}

fn takes(manifest: &ComponentManifest, parameter: &str) -> bool {
    manifest.params["properties"].get(parameter).is_some()
}

/// The parameters that `--device` sets.
pub fn on(device: Option<&str>) -> Dict {
    let device = device.map(|device| ("device".to_owned(), device.into()));
    device.into_iter().collect()
}
