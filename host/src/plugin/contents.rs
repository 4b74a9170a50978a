//! All that a plugin consists of, read once: what is checked is what runs.

use medfocus_plugin_api::{Error, Result, file};

use super::{
    identity::PluginId,
    inspect::Inspected,
    script::{self, Copies},
};

/// What of a plugin will run.
#[derive(Debug)]
pub struct Contents {
    /// Its file.
    pub bytes: Vec<u8>,
    /// The files of one that another program runs.
    pub copies: Option<Copies>,
    /// Which build that is.
    pub id: PluginId,
}

impl Contents {
    /// Reads a plugin.
    ///
    /// # Errors
    ///
    /// A file cannot be read, or a descriptor says something else than when it was found.
    pub fn read(plugin: &Inspected) -> Result<Self> {
        let path = plugin.path.display();
        let bytes = file::read(&plugin.path)
            .map_err(|error| Error::missing(format!("plugin {path} cannot be read: {error}")))?;
        let copies = match &plugin.script {
            None => None,
            Some(found) => {
                let (script, manifest) = script::parse(&bytes)
                    .map_err(|error| error.context(format!("plugin {path}")))?;
                if (&script, &manifest) != (found, &plugin.manifest_json) {
                    let error =
                        Error::invalid(format!("plugin {path} has changed since it was found"));
                    return Err(error.with_hint("give the command again"));
                }
                Some(Copies::read(script, &plugin.path)?)
            }
        };
        let mut all = blake3::Hasher::new();
        all.update(&bytes);
        for (_, file) in copies.iter().flat_map(Copies::files) {
            all.update(blake3::hash(file).as_bytes());
        }
        let id = PluginId {
            name: plugin.manifest.name.clone(),
            version: plugin.manifest.version.clone(),
            digest: format!("blake3:{}", all.finalize().to_hex()),
        };
        Ok(Self { bytes, copies, id })
    }
}
