//! Opening a plugin: the last checks, then its code runs.

use libloading::os::unix::{Library as OsLibrary, RTLD_LOCAL, RTLD_NOW};
use medfocus_plugin_api::{
    Error, Result,
    abi::{self, ComponentBox, HostBox},
};

use super::inspect::Inspected;
use crate::{config::Pins, libtorch::Libtorch};

/// A plugin whose code is in the process. It is never closed: its types and threads live on.
#[derive(Clone)]
pub struct Library {
    root: abi::RootRef,
    /// What was loaded.
    pub id: PluginId,
}

/// Which build of a plugin made a result.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PluginId {
    /// Crate name.
    pub name: String,
    /// Crate version.
    pub version: String,
    /// `blake3:` and the hex digest of the library file.
    pub digest: String,
}

impl PluginId {
    /// Identifies a plugin by its content.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn of(plugin: &Inspected) -> Result<Self> {
        let bytes = std::fs::read(&plugin.path).map_err(|error| {
            Error::internal(format!(
                "plugin {} cannot be read: {error}",
                plugin.path.display()
            ))
        })?;
        Ok(Self {
            name: plugin.manifest.name.clone(),
            version: plugin.manifest.version.clone(),
            digest: format!("blake3:{}", blake3::hash(&bytes).to_hex()),
        })
    }
}

impl Library {
    /// Checks the digest against the pins, makes libtorch ready if the plugin links it, and opens
    /// the library.
    ///
    /// # Errors
    ///
    /// One sentence on why this plugin is refused; the process goes on without it.
    pub fn open(plugin: &Inspected, pins: &Pins, libtorch: &Libtorch) -> Result<Self> {
        let id = PluginId::of(plugin)?;
        let refuse = |error: Error| error.context(format!("plugin {}", plugin.path.display()));
        pins.check(&id).map_err(refuse)?;
        if let Some(version) = &plugin.manifest.libtorch {
            libtorch.open(version).map_err(refuse)?;
        }
        // Running a stranger's initialisers is what the pins are there to allow or refuse.
        let library = unsafe { OsLibrary::open(Some(&plugin.path), RTLD_NOW | RTLD_LOCAL) }
            .map_err(|error| {
                refuse(Error::unsupported(format!(
                    "cannot be opened: {}",
                    first_line(&error)
                )))
            })?;
        let header = unsafe { library.get::<abi::AbiHeaderRef>(abi::ROOT_SYMBOL.as_bytes()) }
            .map(|symbol| *symbol)
            .map_err(|_| {
                refuse(Error::unsupported(
                    "exports no root module; list its components with `export_plugin!`",
                ))
            });
        // Its code may have started threads: it must stay.
        std::mem::forget(library);
        let root: abi::RootRef = header?
            .upgrade()
            .and_then(|header| header.init_root_module())
            .map_err(|error| {
                tracing::debug!("{error}");
                refuse(Error::unsupported(
                    "was built with an incompatible medfocus-plugin-api; build it again with the host's version",
                ))
            })?;
        if (root.describe())().as_str() != plugin.manifest_json {
            return Err(refuse(Error::invalid(
                "describes itself differently from its manifest; do not trust it",
            )));
        }
        tracing::debug!(plugin = id.name, digest = id.digest, "loaded");
        Ok(Self { root, id })
    }

    /// Makes a component.
    ///
    /// # Errors
    ///
    /// What the component's own constructor fails with.
    pub fn create(
        &self,
        component: &str,
        params: &serde_json::Value,
        host: HostBox,
    ) -> Result<ComponentBox> {
        let params = params.to_string();
        (self.root.create())(component.into(), params.as_str().into(), host)
            .into_result()
            .map_err(Error::from)
    }
}

fn first_line(error: &dyn std::fmt::Display) -> String {
    error
        .to_string()
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned()
}
