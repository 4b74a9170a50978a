//! Which builds of which plugins may be loaded.

use std::collections::BTreeMap;

use medfocus_plugin_api::{Error, Result};
use serde::{Deserialize, Serialize};

use super::identity::PluginId;

/// Digests by plugin name. Where there are any, nothing else is loaded.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pins(BTreeMap<String, String>);

impl Pins {
    /// Whether this build of a plugin is pinned; without any pin it need not be.
    ///
    /// # Errors
    ///
    /// There are pins, and the plugin's is missing or differs.
    pub fn check(&self, plugin: &PluginId) -> Result<bool> {
        if self.0.is_empty() {
            return Ok(false);
        }
        match self.0.get(&plugin.name) {
            Some(pin) if *pin == plugin.digest => Ok(true),
            Some(pin) => Err(Error::invalid(format!(
                "has digest {}, the config pins {pin}; restore the file or change `plugins.pins.{}`",
                plugin.digest, plugin.name
            ))),
            None => Err(Error::invalid(format!(
                "is not pinned; to allow it set `plugins.pins.{}` to {}",
                plugin.name, plugin.digest
            ))),
        }
    }
}
