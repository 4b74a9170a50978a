//! Which crate may depend on which: plugins -> plugin-api <- host, and libtorch only where networks
//! run. Checked on what cargo resolved, so a detour through a third crate does not hide.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::workspace::metadata;

/// The crate whose presence means linking libtorch.
const TORCH: &str = "torch-sys";

/// Crates by index; what tests need (dev-dependencies) is left out.
#[derive(Debug, Default)]
struct Graph {
    crates: Vec<Crate>,
}

#[derive(Debug, Default)]
struct Crate {
    name: String,
    /// The folder in the workspace (`plugins/methods/gradient`), or None for a crate from outside.
    folder: Option<String>,
    dependencies: Vec<usize>,
}

/// What a crate of the workspace is, by the folder it lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Api,
    Host,
    /// A plugin that may run networks.
    TorchPlugin,
    /// A plugin that may not.
    Plugin,
    /// Shared by plugins.
    Support,
    /// A program or the tests of the workspace.
    Other,
}

fn place(folder: &str) -> Place {
    match folder.split('/').collect::<Vec<_>>()[..] {
        ["plugin-api", ..] => Place::Api,
        ["host"] | ["host", "dicom"] => Place::Host,
        ["plugins", "models" | "vision" | "editors", ..] => Place::TorchPlugin,
        ["plugins", "support", ..] => Place::Support,
        ["plugins", "tools", ..] => Place::Other,
        ["plugins", ..] => Place::Plugin,
        _ => Place::Other,
    }
}

/// Every dependency that breaks a rule, one sentence each.
pub fn violations() -> Result<Vec<String>> {
    // Without the filter, cargo would fetch the crates that other systems need.
    let resolved = metadata(&["--filter-platform", "x86_64-unknown-linux-gnu"])?;
    Ok(Graph::read(&resolved)?.violations())
}

impl Graph {
    fn read(metadata: &Value) -> Result<Self> {
        Self::parse(metadata).context("`cargo metadata` lacks the resolved dependencies")
    }

    fn parse(metadata: &Value) -> Option<Self> {
        let root = Path::new(metadata["workspace_root"].as_str()?);
        let mut graph = Self::default();
        let mut index_of = BTreeMap::new();
        for (index, package) in metadata["packages"].as_array()?.iter().enumerate() {
            let folder = Path::new(package["manifest_path"].as_str()?).parent()?;
            let folder = folder
                .strip_prefix(root)
                .ok()
                .map(|folder| folder.display().to_string());
            index_of.insert(package["id"].as_str()?, index);
            graph.crates.push(Crate {
                name: package["name"].as_str()?.to_owned(),
                folder,
                dependencies: vec![],
            });
        }
        for node in metadata["resolve"]["nodes"].as_array()? {
            let from = *index_of.get(node["id"].as_str()?)?;
            for dependency in node["deps"].as_array()? {
                let kinds = dependency["dep_kinds"].as_array()?;
                if kinds.iter().any(|kind| kind["kind"] != "dev") {
                    graph.crates[from]
                        .dependencies
                        .push(*index_of.get(dependency["pkg"].as_str()?)?);
                }
            }
        }
        Some(graph)
    }

    fn violations(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (index, this) in self.crates.iter().enumerate() {
            let Some(folder) = &this.folder else { continue };
            let place_of_this = place(folder);
            for other in self.reachable(index) {
                if let Some(why) = forbidden(place_of_this, &self.crates[other]) {
                    found.push(format!(
                        "{} depends on {}, but {why}",
                        this.name, self.crates[other].name
                    ));
                }
            }
        }
        found
    }

    fn reachable(&self, from: usize) -> BTreeSet<usize> {
        let mut seen = BTreeSet::new();
        let mut open = self.crates[from].dependencies.clone();
        while let Some(next) = open.pop() {
            if seen.insert(next) {
                open.extend(&self.crates[next].dependencies);
            }
        }
        seen
    }
}

/// Why a crate in this place may not depend on `other`, directly or not; None if it may.
fn forbidden(from: Place, other: &Crate) -> Option<&'static str> {
    if other.name == TORCH {
        return match from {
            Place::Api | Place::Host => Some("neither the interface nor the host links libtorch"),
            Place::Plugin => Some("only models, vision and editors link libtorch"),
            Place::TorchPlugin | Place::Support | Place::Other => None,
        };
    }
    let to = place(other.folder.as_deref()?);
    let to_plugin = matches!(to, Place::Plugin | Place::TorchPlugin);
    match from {
        Place::Api if to != Place::Api => {
            Some("the interface depends on nothing of the workspace but its own surface")
        }
        Place::Host if to_plugin => Some("the host knows no plugin"),
        Place::Support if to_plugin => Some("what plugins share knows no plugin"),
        Place::Plugin | Place::TorchPlugin if to_plugin => Some("no plugin knows another"),
        Place::Plugin | Place::TorchPlugin if to == Place::Host => Some("no plugin knows the host"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A graph of crates given as (name, folder or "" for outside, indices of dependencies).
    fn graph(crates: &[(&str, &str, &[usize])]) -> Graph {
        let crates = crates.iter().map(|(name, folder, dependencies)| Crate {
            name: (*name).to_owned(),
            folder: (!folder.is_empty()).then(|| (*folder).to_owned()),
            dependencies: dependencies.to_vec(),
        });
        Graph {
            crates: crates.collect(),
        }
    }

    #[test]
    fn the_intended_architecture_breaks_no_rule() {
        let intended = graph(&[
            ("api", "plugin-api", &[7]),
            ("medfocus", "host", &[0]),
            ("torch-support", "plugins/support/torch", &[6]),
            ("gemma3", "plugins/models/gemma3", &[0, 2]),
            ("gradient", "plugins/methods/gradient", &[0]),
            ("trainer", "plugins/tools/trainer", &[3]),
            (TORCH, "", &[]),
            ("serde", "", &[]),
        ]);
        assert_eq!(intended.violations(), Vec::<String>::new());
    }

    #[test]
    fn libtorch_is_found_behind_a_detour() {
        let detour = graph(&[
            ("gradient", "plugins/methods/gradient", &[1]),
            ("torch-support", "plugins/support/torch", &[2]),
            (TORCH, "", &[]),
        ]);
        assert_eq!(
            detour.violations(),
            ["gradient depends on torch-sys, but only models, vision and editors link libtorch"]
        );
    }

    #[test]
    fn each_forbidden_arrow_is_reported() {
        let outside = || Crate {
            name: TORCH.into(),
            ..Crate::default()
        };
        let inside = |folder: &str| Crate {
            folder: Some(folder.into()),
            ..Crate::default()
        };
        assert!(forbidden(Place::Host, &outside()).is_some());
        assert!(forbidden(Place::TorchPlugin, &outside()).is_none());
        assert!(forbidden(Place::Host, &inside("plugins/models/gemma3")).is_some());
        assert!(forbidden(Place::Plugin, &inside("plugins/datasets/phantom")).is_some());
        assert!(forbidden(Place::TorchPlugin, &inside("host")).is_some());
        assert!(forbidden(Place::Support, &inside("plugins/models/gemma3")).is_some());
        assert!(
            forbidden(
                place("plugins/tools/trainer"),
                &inside("plugins/models/gemma3")
            )
            .is_none()
        );
        assert!(forbidden(Place::Plugin, &inside("plugins/support/imaging")).is_none());
        assert!(forbidden(Place::Api, &inside("plugins/support/imaging")).is_some());
        assert!(forbidden(Place::Api, &inside("plugin-api/abi")).is_none());
    }

    #[test]
    fn this_workspace_breaks_no_rule() {
        assert_eq!(violations().unwrap(), Vec::<String>::new());
    }
}
