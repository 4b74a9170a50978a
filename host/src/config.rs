//! The config: defaults, a file, `MEDFOCUS_*`, `--set`, in this order, the later over the earlier.

mod filling;
mod model_file;
pub(crate) mod relative;
pub(crate) mod sentence;

pub use filling::Filling;
pub use model_file::{ModelFile, Published};

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use figment::{
    Figment, Metadata, Profile, Provider,
    providers::{Env, Serialized},
    value::{Dict, Map, Value},
};
use medfocus_plugin_api::{Error, Kind, Result, file};
use serde::{Deserialize, Serialize};
use serde_json::{Map as JsonMap, Value as Json};

use self::sentence::words;
use crate::{
    audit::AuditConfig,
    boxes::BoxRule,
    cluster, dicom,
    experiment::config::Experiment,
    isolation::Isolation,
    plugin::{Pins, folders},
    trust::Trust,
};

/// Everything that can be set.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where plugins come from.
    pub plugins: Plugins,
    /// Where libtorch is.
    pub libtorch: LibtorchConfig,
    /// Folders with one TOML file a model, for `--model NAME`.
    pub model_folders: Vec<PathBuf>,
    /// Threads for libtorch; all cores if nothing.
    pub threads: Option<usize>,
    /// Parameters of the method.
    pub method: Dict,
    /// Parameters of the model, over those of its file.
    pub model: Dict,
    /// Parameters of the dataset.
    pub dataset: Dict,
    /// What fills the other slots, by their names; `pool` holds sixteen phantoms unless something else is named.
    pub slots: BTreeMap<String, Filling>,
    /// How answers are made.
    pub answer: AnswerConfig,
    /// How heat maps become boxes.
    pub boxes: BoxRule,
    /// How DICOM objects are written and sent.
    pub dicom: dicom::Settings,
    /// Seed of every random choice.
    pub seed: u64,
    /// Where it is written down who ran what.
    pub audit: AuditConfig,
    /// What `medfocus submit` asks a cluster for.
    pub cluster: cluster::Settings,
    /// What `medfocus run` does.
    pub experiment: Option<Experiment>,
}

/// Where plugins come from.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plugins {
    /// Folders or files; by default the folder beside the program and the user's own.
    pub paths: Vec<PathBuf>,
    /// Digest of each allowed plugin, by its name, as `medfocus plugins check` prints it.
    pub pins: Pins,
    /// A trust file, which counts besides that of the machine.
    #[serde(default)]
    pub trust: Option<PathBuf>,
    /// Which of them run in processes of their own.
    #[serde(default)]
    pub isolation: Isolation,
}

/// Where libtorch is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LibtorchConfig {
    /// Folder whose `lib` holds `libtorch_cpu.so`; found by itself if nothing.
    pub dir: Option<PathBuf>,
}

/// How answers are made.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerConfig {
    /// Tokens at most.
    pub max_new_tokens: u32,
    /// Whether it is asked how likely an answer would be without any image, which scores one image more.
    pub language_prior: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            plugins: Plugins {
                paths: [folders::beside()]
                    .into_iter()
                    .chain(folders::of_user())
                    .collect(),
                pins: Pins::default(),
                trust: None,
                isolation: Isolation::default(),
            },
            libtorch: LibtorchConfig::default(),
            model_folders: vec!["configs/models".into()],
            threads: None,
            method: Dict::new(),
            model: Dict::new(),
            dataset: Dict::new(),
            slots: BTreeMap::new(),
            answer: AnswerConfig {
                max_new_tokens: 256,
                language_prior: true,
            },
            boxes: BoxRule::default(),
            dicom: dicom::Settings::default(),
            seed: 0,
            audit: AuditConfig::default(),
            cluster: cluster::Settings::default(),
            experiment: None,
        }
    }
}

/// The slot of the reference images.
const POOL: &str = "pool";

/// What fills the slot `pool` where no config does: sixteen healthy phantoms of the training population.
fn phantom_pool() -> Filling {
    Filling {
        component: "phantom".to_owned(),
        params: [
            ("split".to_owned(), "train".into()),
            ("offset".to_owned(), 2_000_000_u32.into()),
            ("len".to_owned(), 16_u32.into()),
            ("presence".to_owned(), "never".into()),
        ]
        .into(),
        slots: BTreeMap::new(),
    }
}

/// A config that remembers where each value came from.
#[derive(Clone)]
pub struct Layers {
    figment: Figment,
    /// The merged values.
    pub config: Config,
    /// Who may be loaded.
    pub(crate) trust: Trust,
}

impl Layers {
    /// Merges the layers: defaults, the file at `path` (or `medfocus.toml` here, if there is one),
    /// `MEDFOCUS_*` with `__` between levels, then each `key=value`.
    ///
    /// In the file a relative `path` of a component starts at the file's folder.
    ///
    /// A key without a dot that names no section is a parameter of the method.
    ///
    /// # Errors
    ///
    /// The file is missing or broken, a setting has no `=`, a key is unknown or a value of the
    /// wrong type; the sentence names the key and where it was set. Or a trust file is broken.
    pub fn load(path: Option<&Path>, settings: &[String]) -> Result<Self> {
        let mut figment = Figment::from(Serialized::defaults(Config::default()));
        match path {
            Some(path) => {
                // The reader of TOML would wait for the other end of a pipe.
                file::open(path).map_err(|error| {
                    Error::missing(format!("config {} cannot be read: {error}", path.display()))
                })?;
                figment = figment.merge(relative::File::exact(path));
            }
            None => figment = figment.merge(relative::File::nearest("medfocus.toml")),
        }
        figment = figment.merge(
            Env::prefixed("MEDFOCUS_")
                .ignore(&["log", "shard_offset"])
                .split("__"),
        );
        for setting in settings {
            figment = figment.merge(Setting::parse(setting)?);
        }
        let mut config: Config = figment
            .extract()
            .map_err(|error| Error::invalid(format!("config: {}", words(&error))))?;
        // No layer of its own: its parameters would mix with those of the dataset that a config names instead.
        let pool = config.slots.entry(POOL.to_owned());
        pool.or_insert_with(phantom_pool);
        let trust = Trust::load(config.plugins.trust.as_deref())?;
        if let Some(folder) = trust.libtorch() {
            config.libtorch.dir = Some(folder.to_owned());
        }
        if !trust.is_silent() && config.plugins.isolation.program.is_some() {
            let error = Error::invalid(
                "`plugins.isolation.program` names a program that no trust file vouches for",
            );
            return Err(error.with_hint("leave it out"));
        }
        Ok(Self {
            figment,
            config,
            trust,
        })
    }

    /// Where a value was set, unless it is a default.
    pub fn source(&self, key: &str) -> Option<String> {
        let metadata = self.figment.find_metadata(key)?;
        Some(match &metadata.source {
            Some(source) => format!("{} {source}", metadata.name),
            None => metadata.name.to_string(),
        })
        .filter(|_| !metadata.name.contains("defaults") && !metadata.name.contains("Config"))
    }

    /// Adds to an error about a parameter where the parameter was set, if it was in the section of components of this
    /// kind.
    pub fn explain(&self, kind: Kind, params: &JsonMap<String, Json>, mut error: Error) -> Error {
        let section = match kind {
            Kind::Method => &self.config.method,
            Kind::Model => &self.config.model,
            Kind::Dataset => &self.config.dataset,
            _ => return error,
        };
        let set = |key: &&String| {
            let here = section.get(*key).map(serde_json::to_value);
            here.and_then(Result::ok).as_ref() == params.get(*key)
        };
        let source = error
            .key
            .as_ref()
            .filter(set)
            .and_then(|key| self.source(&format!("{}.{key}", kind.name())));
        if let Some(source) = source {
            error.message += &format!(" (set in {source})");
        }
        error
    }
}

/// One `--set key=value`.
struct Setting {
    text: String,
    key: String,
    value: Value,
}

impl Setting {
    fn parse(text: &str) -> Result<Self> {
        let (key, value) = text
            .split_once('=')
            .filter(|(key, _)| !key.trim().is_empty())
            .ok_or_else(|| {
                Error::invalid(format!(
                    "`--set {text}` has no value; write --set KEY=VALUE"
                ))
            })?;
        let key = key.trim();
        let sections = Serialized::defaults(Config::default())
            .data()
            .unwrap_or_default();
        let is_section = sections.values().any(|section| section.contains_key(key));
        let key = if key.contains('.') || is_section {
            key.to_owned()
        } else {
            format!("method.{key}")
        };
        Ok(Self {
            text: text.to_owned(),
            key,
            value: typed(value.trim()),
        })
    }
}

/// Anything that is no number, boolean, array or table is a string.
fn typed(text: &str) -> Value {
    let value = text
        .parse()
        .unwrap_or_else(|never: std::convert::Infallible| match never {});
    // Figment takes 0.001 for a number, but not 1e-3.
    let number = text.parse().ok().filter(|number: &f64| number.is_finite());
    match (&value, number) {
        (Value::String(..), Some(number)) => number.into(),
        _ => value,
    }
}

impl Provider for Setting {
    fn metadata(&self) -> Metadata {
        Metadata::named(format!("`--set {}`", self.text))
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let nested = figment::util::nest(&self.key, self.value.clone());
        let dict = nested.into_dict().unwrap_or_default();
        Ok(Profile::Default.collect(dict))
    }
}
