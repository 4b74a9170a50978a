//! The software bill of materials of a kit, in CycloneDX 1.6.

use figment::{
    Figment,
    providers::{Format, Toml},
};
use medfocus_plugin_api::{Error, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::sources::Sources;

/// What this program and the plugins of its workspace were built from. Crates that only tests or tools use are in it, too.
const LOCK: &str = include_str!("../../../Cargo.lock");

#[derive(Deserialize)]
struct Lock {
    package: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    checksum: Option<String>,
}

/// The bill of a kit of these files.
///
/// # Errors
///
/// The workspace's lock file is not understood.
pub fn of(sources: &Sources) -> Result<Value> {
    let lock: Lock = Figment::from(Toml::string(LOCK))
        .extract()
        .map_err(|error| Error::internal(format!("Cargo.lock is not understood: {error}")))?;
    // Those without a checksum are the workspace's own.
    let crates = lock.package.iter().filter_map(|package| {
        let checksum = package.checksum.as_ref()?;
        let Package { name, version, .. } = package;
        let purl = format!("pkg:cargo/{name}@{}", version.replace('+', "%2B"));
        Some(json!({
            "type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl,
            "hashes": [{"alg": "SHA-256", "content": checksum}],
        }))
    });
    let plugins = sources.plugins.iter().map(|plugin| {
        let digest = plugin.digest.trim_start_matches("blake3:");
        json!({
            "type": "library", "bom-ref": format!("plugin:{}", plugin.name), "name": plugin.name,
            "version": plugin.version, "hashes": [{"alg": "BLAKE3", "content": digest}],
        })
    });
    let libtorch = sources.libtorch.iter().map(|version| {
        json!({"type": "library", "bom-ref": "libtorch", "name": "libtorch", "version": version})
    });
    let models = sources.models.iter().map(|name| {
        json!({"type": "machine-learning-model", "bom-ref": format!("model:{name}"), "name": name})
    });
    let components: Vec<Value> = plugins
        .chain(libtorch)
        .chain(models)
        .chain(crates)
        .collect();
    Ok(json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {
            "type": "application", "bom-ref": "medfocus", "name": "medfocus",
            "version": env!("CARGO_PKG_VERSION"),
        }},
        "components": components,
    }))
}
