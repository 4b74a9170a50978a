//! No two files of a crate know each other, not even by a detour through others: what a file stands on can be read, and
//! changed, without it.
//!
//! A file knows those that its `use` items name. What a module passes on (`pub use`) counts as the file that defines it,
//! and a file may use what the modules around it define.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use petgraph::algo::tarjan_scc;
use petgraph::graphmap::DiGraphMap;
use syn::{Item, UseTree};

use crate::workspace::metadata;

/// A path in a crate: `["report", "row"]` is `crate::report::row`.
type Names = Vec<String>;

/// Every circle of files in the workspace, one sentence each.
fn violations() -> Result<Vec<String>> {
    let workspace = metadata(&["--no-deps"])?;
    let packages = workspace["packages"].as_array();
    let mut found = Vec::new();
    for package in packages.context("`cargo metadata` lists no packages")? {
        let manifest = package["manifest_path"].as_str().unwrap_or_default();
        let source = Path::new(manifest).with_file_name("src");
        let name = package["name"].as_str().unwrap_or_default();
        for circle in Files::read(&source)?.circles() {
            let files = circle.join(", ");
            found.push(format!("these files of {name} know each other: {files}"));
        }
    }
    Ok(found)
}

/// What each file of a crate uses, by the module it is.
#[derive(Debug, Default)]
struct Files(BTreeMap<Names, Vec<Names>>);

impl Files {
    fn read(source: &Path) -> Result<Self> {
        let mut files = Self::default();
        // A package of tests alone has no source folder.
        let mut open = Vec::from_iter(source.is_dir().then(|| source.to_owned()));
        while let Some(folder) = open.pop() {
            let entries = fs::read_dir(&folder)
                .with_context(|| format!("cannot list {}", folder.display()))?
                .map(|entry| Ok(entry?.path()))
                .collect::<Result<Vec<PathBuf>>>()?;
            for path in entries {
                if path.is_dir() {
                    open.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    let module = module(path.strip_prefix(source)?);
                    let text = fs::read_to_string(&path)?;
                    let uses =
                        uses(&text).with_context(|| format!("cannot parse {}", path.display()))?;
                    // A crate's `main.rs` and `lib.rs` are one module here.
                    files.0.entry(module).or_default().extend(uses);
                }
            }
        }
        Ok(files)
    }

    fn circles(&self) -> Vec<Vec<String>> {
        let mut graph = DiGraphMap::<&[String], ()>::new();
        for (from, uses) in &self.0 {
            for used in uses {
                if let Some(to) = self.absolute(from, used).and_then(|used| self.file(used))
                    && !from.starts_with(to)
                {
                    graph.add_edge(from, to, ());
                }
            }
        }
        let circles = tarjan_scc(&graph).into_iter();
        let circles = circles.filter(|circle| circle.len() > 1);
        let mut circles: Vec<Vec<String>> = circles
            .map(|circle| circle.iter().map(|names| names.join("::")).collect())
            .collect();
        circles.iter_mut().for_each(|circle| circle.sort());
        circles.sort();
        circles
    }

    /// The path from the root of the crate; nothing if it leads out of it.
    fn absolute(&self, from: &[String], used: &[String]) -> Option<Names> {
        let mut base = from.to_vec();
        let mut rest = used.iter().peekable();
        match rest.peek()?.as_str() {
            "crate" => {
                base.clear();
                rest.next();
            }
            "self" => {
                rest.next();
            }
            "super" => {
                while rest.next_if(|name| *name == "super").is_some() {
                    base.pop()?;
                }
            }
            child => {
                let child = [&base[..], &[child.to_owned()]].concat();
                self.0.get(&child)?;
            }
        }
        base.extend(rest.cloned());
        Some(base)
    }

    /// The file that defines what the path names.
    fn file(&self, mut path: Names) -> Option<&[String]> {
        // Passing on can be nested, but not for ever.
        for _ in 0..8 {
            let depth = (0..=path.len())
                .rev()
                .find(|depth| self.0.contains_key(&path[..*depth]))?;
            let (module, uses) = self.0.get_key_value(&path[..depth])?;
            let passed_on = path.get(depth).and_then(|name| {
                let mut paths = uses.iter().filter(|used| used.last() == Some(name));
                paths.find_map(|used| self.absolute(module, used))
            });
            match passed_on {
                Some(next) if next != path => path = next,
                _ => return Some(module),
            }
        }
        None
    }
}

/// The module that a file in the source folder is.
fn module(file: &Path) -> Names {
    let stem = file.with_extension("");
    let mut names: Names = stem
        .iter()
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    if names
        .last()
        .is_some_and(|name| ["mod", "lib", "main"].contains(&name.as_str()))
    {
        names.pop();
    }
    names
}

/// The paths that a file uses, those of its inner modules left out.
fn uses(text: &str) -> syn::Result<Vec<Names>> {
    let mut paths = Vec::new();
    for item in syn::parse_file(text)?.items {
        if let Item::Use(item) = item {
            flatten(Names::new(), &item.tree, &mut paths);
        }
    }
    Ok(paths)
}

fn flatten(mut path: Names, tree: &UseTree, into: &mut Vec<Names>) {
    match tree {
        UseTree::Path(next) => {
            path.push(next.ident.to_string());
            flatten(path, &next.tree, into);
        }
        UseTree::Group(group) => {
            for tree in &group.items {
                flatten(path.clone(), tree, into);
            }
        }
        UseTree::Glob(_) => into.push(path),
        UseTree::Name(_) | UseTree::Rename(_) => {
            let ident = match tree {
                UseTree::Rename(rename) => &rename.ident,
                UseTree::Name(name) => &name.ident,
                _ => return,
            };
            if ident != "self" {
                path.push(ident.to_string());
            }
            into.push(path);
        }
    }
}

mod tests {
    use super::*;

    fn files(files: &[(&str, &str)]) -> Files {
        let files = files
            .iter()
            .map(|(path, text)| (module(Path::new(path)), uses(text).unwrap()));
        Files(files.collect())
    }

    #[test]
    fn two_files_that_know_each_other_are_a_circle() {
        let crate_ = files(&[
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "use crate::b::{self, Thing}; use std::fmt;"),
            ("b.rs", "use super::a;"),
        ]);
        assert_eq!(crate_.circles(), [["a", "b"]]);
    }

    #[test]
    fn a_detour_is_a_circle_and_what_is_passed_on_counts_where_it_is_defined() {
        let crate_ = files(&[
            ("lib.rs", ""),
            (
                "a/mod.rs",
                "mod inner; pub use inner::Thing; use crate::c::X;",
            ),
            ("a/inner.rs", ""),
            ("b.rs", "use crate::a::Thing;"),
            ("c.rs", "use crate::b::Y;"),
        ]);
        assert!(crate_.circles().is_empty(), "{:?}", crate_.circles());
        let crate_ = files(&[
            ("lib.rs", ""),
            ("a/mod.rs", "mod inner; pub use inner::Thing;"),
            ("a/inner.rs", "use crate::c::X;"),
            ("b.rs", "use crate::a::Thing;"),
            ("c.rs", "use crate::b::Y;"),
        ]);
        assert_eq!(crate_.circles(), [["a::inner", "b", "c"]]);
    }

    #[test]
    fn a_file_may_use_what_surrounds_it() {
        let crate_ = files(&[
            ("lib.rs", "mod a; use a::Thing;"),
            ("a.rs", "use crate::Error; use super::Result;"),
        ]);
        assert!(crate_.circles().is_empty());
    }

    #[test]
    fn this_workspace_has_no_circle() {
        assert_eq!(violations().unwrap(), Vec::<String>::new());
    }
}
