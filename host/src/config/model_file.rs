//! A file in a model folder: a model by name.

use std::{
    collections::BTreeMap,
    path::{Component, Path, PathBuf},
};

use figment::value::Dict;
use serde::Deserialize;

use super::Filling;

/// A model backend with its parameters, and where its checkpoint comes from.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelFile {
    component: String,
    #[serde(default)]
    params: Dict,
    #[serde(default)]
    slots: BTreeMap<String, Filling>,
    /// The published checkpoint it is meant for.
    pub checkpoint: Option<Published>,
}

/// A published checkpoint.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// Its repository on the Hugging Face hub.
    pub repository: String,
    /// Where its licence stands.
    pub licence: String,
    /// Whether the licence must be accepted before anything can be downloaded.
    #[serde(default)]
    pub gated: bool,
    /// How many numbers its parameters are.
    pub parameters: u64,
}

impl ModelFile {
    /// What the config would say of it.
    pub fn filling(&self) -> Filling {
        Filling {
            component: self.component.clone(),
            params: self.params.clone(),
            slots: self.slots.clone(),
        }
    }

    /// How to get the checkpoint, if its folder is not there.
    pub fn how_to_get(&self) -> Option<String> {
        let folder = self.params.get("path")?.as_str()?;
        let published = self.checkpoint.as_ref()?;
        (!Path::new(folder).exists()).then(|| published.how_to_get(&shortened(folder)))
    }
}

impl Published {
    fn how_to_get(&self, folder: &str) -> String {
        let Self {
            repository,
            licence,
            gated,
            parameters,
            ..
        } = self;
        let gate = if *gated {
            format!("accept its licence at https://huggingface.co/{repository}, then ")
        } else {
            String::new()
        };
        // Two bytes a number, as the hub stores them.
        let size = *parameters as f64 * 2e-9;
        format!(
            "{gate}download it: hf download {repository} --local-dir {folder} ({size:.1} GB; licence: {licence})"
        )
    }
}

/// A path without the steps down and up again that a file's own folder brings in.
fn shortened(path: &str) -> String {
    let mut kept = PathBuf::new();
    for part in Path::new(path).components() {
        match (part, kept.components().next_back()) {
            (Component::ParentDir, Some(Component::Normal(_))) => drop(kept.pop()),
            _ => kept.push(part),
        }
    }
    kept.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_shown_without_detours() {
        assert_eq!(
            shortened("configs/models/../../checkpoints/a"),
            "checkpoints/a"
        );
        assert_eq!(shortened("../models/../a"), "../a");
        assert_eq!(shortened("/x/./y"), "/x/y");
    }
}
