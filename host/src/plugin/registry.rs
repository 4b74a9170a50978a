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
}

impl Registry {
    /// Looks through files and folders, in this order; in a folder by name. A missing folder holds
    /// nothing; what cannot be a plugin is kept for [`Registry::refused`].
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
                    Ok(Some(mut plugin)) => {
                        registry.refused.append(&mut plugin.refused);
                        registry.plugins.push(plugin);
                    }
                    Ok(None) => tracing::debug!(file = %file.display(), "not a plugin"),
                    Err(error) => registry.refused.push(error),
                }
            }
        }
        registry
    }

    /// The plugins that may be loaded.
    pub fn plugins(&self) -> &[Inspected] {
        &self.plugins
    }

    /// Why the others, and single components of these, may not.
    pub fn refused(&self) -> &[Error] {
        &self.refused
    }

    /// The plugin that holds a component.
    ///
    /// # Errors
    ///
    /// No plugin has it, with the nearest name there is; or two plugins do.
    pub fn find(&self, kind: Kind, name: &str) -> Result<(&Inspected, &ComponentManifest)> {
        let mut found = self
            .components(kind)
            .filter(|(_, component)| component.name == name);
        let kind_name = kind.name();
        let Some(first) = found.next() else {
            return Err(self.unknown(kind, name));
        };
        if let Some((second, _)) = found.next() {
            return Err(Error::invalid(format!(
                "{kind_name} `{name}` is offered by {} and by {}",
                first.0.path.display(),
                second.path.display()
            ))
            .with_hint("remove one of them from the plugin folders"));
        }
        Ok(first)
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

fn libraries(path: &Path) -> Vec<PathBuf> {
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
