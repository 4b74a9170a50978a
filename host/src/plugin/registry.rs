//! Finding plugins in folders.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use medfocus_plugin_api::{Error, Kind, Result, manifest::ComponentManifest};

use super::{
    inspect::{Inspected, inspect},
    script::is_script,
};

/// The plugins found, none of them loaded.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    plugins: Vec<Inspected>,
    refused: Vec<Error>,
    shadowed: Vec<String>,
}

impl Registry {
    /// Looks through files and folders, in this order; in a folder by name. A missing folder holds
    /// nothing; what cannot be a plugin is kept for [`Registry::refused`]. Of two plugins of one name, and of two
    /// components of one kind and name, the first counts; [`Registry::shadowed`] says so.
    pub fn discover(paths: &[PathBuf]) -> Self {
        let mut registry = Self::default();
        let mut seen = BTreeSet::new();
        for path in paths {
            for file in libraries(path) {
                // The same file by two ways is one plugin.
                if !seen.insert(file.canonicalize().unwrap_or_else(|_| file.clone())) {
                    continue;
                }
                match inspect(&file) {
                    Ok(Some(plugin)) => registry.add(plugin),
                    Ok(None) => tracing::debug!(file = %file.display(), "not a plugin"),
                    Err(error) => registry.refused.push(error),
                }
            }
        }
        registry
    }

    fn add(&mut self, mut plugin: Inspected) {
        self.refused.append(&mut plugin.refused);
        let name = &plugin.manifest.name;
        let mut plugins = self.plugins.iter();
        if let Some(first) = plugins.find(|first| first.manifest.name == *name) {
            self.shadowed.push(format!(
                "plugin `{name}` is found twice: {} ({}) counts, {} ({}) is not used",
                first.path.display(),
                first.manifest.version,
                plugin.path.display(),
                plugin.manifest.version
            ));
            return;
        }
        let mut components = std::mem::take(&mut plugin.manifest.components);
        components.retain(|component| {
            let first = self
                .components(component.kind)
                .find(|(_, first)| first.name == component.name)
                .map(|(first, _)| first.path.clone());
            let Some(first) = first else { return true };
            self.shadowed.push(format!(
                "{} `{}` is offered twice: that of {} counts, that of {} is not used",
                component.kind.name(),
                component.name,
                first.display(),
                plugin.path.display()
            ));
            false
        });
        plugin.manifest.components = components;
        self.plugins.push(plugin);
    }

    /// The plugins that may be loaded.
    pub fn plugins(&self) -> &[Inspected] {
        &self.plugins
    }

    /// Why the others, and single components of these, may not.
    pub fn refused(&self) -> &[Error] {
        &self.refused
    }

    /// Which plugins and components are there twice, and which of them counts: one sentence each.
    pub fn shadowed(&self) -> &[String] {
        &self.shadowed
    }

    /// The plugin that holds a component.
    ///
    /// # Errors
    ///
    /// No plugin has it, with the nearest name there is.
    pub fn find(&self, kind: Kind, name: &str) -> Result<(&Inspected, &ComponentManifest)> {
        self.components(kind)
            .find(|(_, component)| component.name == name)
            .ok_or_else(|| self.unknown(kind, name))
    }

    /// All components of a kind.
    pub fn components(&self, kind: Kind) -> impl Iterator<Item = (&Inspected, &ComponentManifest)> {
        self.plugins
            .iter()
            .flat_map(|plugin| {
                plugin
                    .manifest
                    .components
                    .iter()
                    .map(move |component| (plugin, component))
            })
            .filter(move |(_, component)| component.kind == kind)
    }

    fn unknown(&self, kind: Kind, name: &str) -> Error {
        let kind_name = kind.name();
        let names: BTreeSet<&str> = self
            .components(kind)
            .map(|(_, c)| c.name.as_str())
            .collect();
        let hint = nearest(name, names.iter().copied()).map_or_else(
            || match names.len() {
                0 => format!("no plugin here offers any {kind_name}; see `medfocus plugins list`"),
                _ => format!("there are: {}", Vec::from_iter(names).join(", ")),
            },
            |near| format!("did you mean `{near}`?"),
        );
        let refused = match self.refused.len() {
            0 => String::new(),
            1 => format!(" (refused: {})", self.refused[0]),
            n => format!(" ({n} plugins were refused; see `medfocus plugins list`)"),
        };
        Error::missing(format!("there is no {kind_name} `{name}`")).with_hint(hint + &refused)
    }
}

/// The most similar of some names, if one is similar at all.
pub fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    names
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(similarity, _)| *similarity > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// The plugins in a folder, or the one that a path names.
pub(super) fn libraries(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let Ok(entries) = path.read_dir() else {
        tracing::debug!(folder = %path.display(), "no such plugin folder");
        return Vec::new();
    };
    let mut files: Vec<_> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|file| {
            file.extension().is_some_and(|extension| extension == "so") || is_script(file)
        })
        .collect();
    files.sort();
    files
}
