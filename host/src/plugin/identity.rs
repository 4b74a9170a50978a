//! A plugin by what its file holds.

use std::path::Path;

use medfocus_plugin_api::{Error, Result, file};
use serde::{Deserialize, Serialize};

use super::inspect::Inspected;

/// Which build of a plugin made a result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginId {
    /// Crate name.
    pub name: String,
    /// Crate version.
    pub version: String,
    /// `blake3:` and the hex digest of the library file, or of all files of a plugin that another program runs.
    pub digest: String,
}

impl PluginId {
    /// Identifies a plugin by what its file holds now.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn of(plugin: &Inspected) -> Result<Self> {
        let mut bytes = read(&plugin.path)?;
        if let Some(script) = &plugin.script {
            for file in &script.files {
                let digest = blake3::hash(&read(file)?);
                bytes.extend(digest.as_bytes());
            }
        }
        Ok(Self::with(plugin, &bytes))
    }

    /// The same, of a file that was read already.
    pub(super) fn with(plugin: &Inspected, bytes: &[u8]) -> Self {
        Self {
            name: plugin.manifest.name.clone(),
            version: plugin.manifest.version.clone(),
            digest: format!("blake3:{}", blake3::hash(bytes).to_hex()),
        }
    }
}

/// A plugin's whole file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>> {
    file::read(path).map_err(|error| {
        Error::missing(format!("plugin {} cannot be read: {error}", path.display()))
    })
}
