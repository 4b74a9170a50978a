//! A plugin by what its file holds.

use serde::{Deserialize, Serialize};

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
