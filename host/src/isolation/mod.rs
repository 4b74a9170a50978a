//! Plugins in processes of their own: what one of them does to itself is not done to the host.
//!
//! [`remote`] is the host's side: a component like any other, which starts a process (in the `nursery`), sends every call
//! there and starts another when that one is no more. `child` is the other side: it loads the plugin and hands its own calls of the host back.
//! Both speak over a `wire`; before the plugin is opened, its process is put into a `sandbox`. [`pictures`] does the same for the decoders of
//! image files, by default.

pub mod child;
mod nursery;
pub mod pictures;
pub mod process;
pub mod remote;
mod sandbox;
mod wire;

use std::path::PathBuf;

use medfocus_plugin_api::{Error, Manifest, Result};
use serde::{Deserialize, Serialize};

use crate::plugin::{Inspected, PluginId, folders::Source};

/// What runs in processes of their own, and what these may do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Isolation {
    /// Which plugins.
    pub of: Isolated,
    /// Others besides, by name.
    pub also: Vec<String>,
    /// Seconds of one call at most, without those that the host itself takes in it.
    pub seconds: u64,
    /// Memory of a process at most, in MiB: what it writes to, without what it maps of files.
    pub memory_mib: u64,
    /// Whether such a process has no network, starts no program and writes to no file but below `writable`.
    pub sandbox: bool,
    /// Where it may write.
    pub writable: Vec<PathBuf>,
    /// Whether image files are decoded in processes of their own.
    pub images: bool,
    /// Plugins, by name, that have the network all the same, if they say that they open it.
    pub network: Vec<String>,
    /// The program that hosts it; this one if nothing.
    pub program: Option<PathBuf>,
}

/// A set of plugins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Isolated {
    /// None.
    Nobody,
    /// All but those in the folder beside the program.
    ThirdParty,
    /// All.
    Everybody,
}

impl Default for Isolation {
    fn default() -> Self {
        Self {
            of: Isolated::Nobody,
            also: Vec::new(),
            seconds: 600,
            memory_mib: 16 << 10,
            sandbox: true,
            writable: Vec::new(),
            images: true,
            network: Vec::new(),
            program: None,
        }
    }
}

impl Isolation {
    /// Whether a plugin has a process of its own.
    pub fn isolates(&self, plugin: &Inspected) -> bool {
        let of = match self.of {
            Isolated::Nobody => false,
            Isolated::ThirdParty => Source::of(&plugin.path) != Source::Beside,
            Isolated::Everybody => true,
        };
        // Another program than this one cannot run in its process.
        of || plugin.is_script() || self.also.contains(&plugin.manifest.name)
    }

    /// Whether a plugin's process keeps the way to other machines: one that says that it needs it, and is named.
    ///
    /// # Errors
    ///
    /// It says so and is not named: it would do nothing but fail.
    fn reaches_network(&self, manifest: &Manifest) -> Result<bool> {
        if self.sandbox && manifest.network && !self.network.contains(&manifest.name) {
            return Err(Error::unsupported(format!(
                "plugin `{}` opens the network, which the config does not allow it",
                manifest.name
            ))
            .with_hint("name it under `plugins.isolation.network`"));
        }
        Ok(manifest.network)
    }
}

/// What a process is told first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Start {
    /// File of the plugin.
    pub plugin: PathBuf,
    /// The build that it must be.
    pub id: PluginId,
    /// The component to make.
    pub component: String,
    /// Its parameters.
    pub params: serde_json::Value,
    /// Where libtorch is, if the config says.
    pub libtorch: Option<PathBuf>,
    /// What the process may do.
    pub isolation: Isolation,
}

/// What is confined before anything else of a plugin runs that is no library.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Confined {
    /// What it may do.
    pub isolation: Isolation,
    /// What runs it.
    pub command: Vec<String>,
}

/// What the host says.
#[derive(Debug, Serialize, Deserialize)]
enum Order {
    /// Make the component.
    Start(Box<Start>),
    /// Perform an operation.
    Invoke(String),
    /// What the slot answered.
    Answer,
    /// Why it did not.
    Refusal(Error),
    /// Whether the user asked to stop.
    Cancelled(bool),
}

/// What the process of a plugin says.
#[derive(Debug, Serialize, Deserialize)]
enum Word {
    /// It is done, with the answer of the operation.
    Done,
    /// It failed.
    Failed(Error),
    /// It asks a slot to perform an operation.
    Call(String, String),
    /// It asks whether to stop.
    Cancelled,
    /// How far it is: done, total, note.
    Progress(u64, u64, String),
    /// A line of its log: level, target, text.
    Log(u8, String, String),
}
