//! `cargo xtask build`: compile the workspace, then lay the plugins out where the host looks.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::libtorch::{Libtorch, Variant};
use crate::rules::libraries;
use crate::setup;
use crate::workspace::{PRODUCT, Workspace, announce};

/// Builds, collects and checks; returns the libtorch that was built against.
pub fn run(workspace: &Workspace) -> Result<Libtorch> {
    let libtorch = setup::ready(workspace, Variant::Cpu)?;
    let plugins = compile(workspace, &libtorch)?;
    libraries::check(&workspace.medfocus(), libraries::Role::Host)?;
    for plugin in &plugins {
        libraries::check(&plugin.library, libraries::Role::of_plugin(&plugin.kind))?;
    }
    collect(&plugins, &workspace.plugins_dir())?;
    eprintln!(
        "{} plugin libraries are in {}.",
        plugins.len(),
        workspace.plugins_dir().display()
    );
    Ok(libtorch)
}

/// A plugin library as cargo built it.
#[derive(Debug, PartialEq)]
struct Plugin {
    library: PathBuf,
    /// The folder under `plugins/` its crate lies in: methods, models, ...
    kind: String,
}

fn compile(workspace: &Workspace, libtorch: &Libtorch) -> Result<Vec<Plugin>> {
    let mut cargo = workspace.cargo(libtorch);
    cargo.args(["build", "--release"]).args(PRODUCT);
    cargo.arg("--message-format=json-render-diagnostics");
    let line = announce(&cargo);
    let output = cargo
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("could not start `{line}`"))?;
    if !output.status.success() {
        bail!("`{line}` failed: {}", output.status);
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    Ok(messages
        .lines()
        .filter_map(|message| plugin_of(message, &workspace.root))
        .collect())
}

/// The plugin a cargo message reports: a cdylib of a crate under `plugins/`. Cdylibs elsewhere
/// (the deliberately broken ones of the tests) are not for the host.
fn plugin_of(message: &str, root: &Path) -> Option<Plugin> {
    let message: Value = serde_json::from_str(message).ok()?;
    if message["reason"] != "compiler-artifact" {
        return None;
    }
    let is_cdylib = message["target"]["crate_types"]
        .as_array()?
        .iter()
        .any(|kind| kind == "cdylib");
    let manifest = Path::new(message["manifest_path"].as_str()?);
    let folder = manifest.strip_prefix(root.join("plugins")).ok()?;
    let kind = folder.components().next()?.as_os_str().to_str()?.to_owned();
    let mut files = message["filenames"]
        .as_array()?
        .iter()
        .filter_map(Value::as_str);
    let library = files
        .find(|file| is_cdylib && file.ends_with(".so"))?
        .into();
    Some(Plugin { library, kind })
}

/// Makes `folder` hold exactly these plugins. A library is replaced by renaming: a process that has
/// the old one mapped keeps it.
fn collect(plugins: &[Plugin], folder: &Path) -> Result<()> {
    let collecting = || format!("could not collect the plugins in {}", folder.display());
    fs::create_dir_all(folder).with_context(collecting)?;
    let mut wanted = BTreeSet::<OsString>::new();
    for plugin in plugins {
        let name = plugin.library.file_name().unwrap_or_default();
        let fresh = folder.join(".incoming");
        fs::copy(&plugin.library, &fresh).with_context(collecting)?;
        fs::rename(&fresh, folder.join(name)).with_context(collecting)?;
        wanted.insert(name.to_owned());
    }
    for entry in fs::read_dir(folder).with_context(collecting)? {
        let entry = entry.with_context(collecting)?;
        if !wanted.contains(&entry.file_name()) {
            fs::remove_file(entry.path()).with_context(collecting)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(manifest: &str, crate_type: &str, file: &str) -> String {
        serde_json::json!({
            "reason": "compiler-artifact",
            "manifest_path": manifest,
            "target": { "crate_types": [crate_type, "rlib"] },
            "filenames": [file, "/t/release/libx.rlib"],
        })
        .to_string()
    }

    #[test]
    fn only_cdylibs_of_the_plugins_folder_are_plugins() {
        let root = Path::new("/repo");
        let method = message(
            "/repo/plugins/methods/gradient/Cargo.toml",
            "cdylib",
            "/t/release/libx.so",
        );
        let expected = Plugin {
            library: "/t/release/libx.so".into(),
            kind: "methods".into(),
        };
        assert_eq!(plugin_of(&method, root), Some(expected));

        let test_plugin = message(
            "/repo/tests/broken/Cargo.toml",
            "cdylib",
            "/t/release/libx.so",
        );
        assert_eq!(plugin_of(&test_plugin, root), None);
        let macro_crate = message(
            "/repo/plugins/support/macros/Cargo.toml",
            "proc-macro",
            "/t/release/libx.so",
        );
        assert_eq!(plugin_of(&macro_crate, root), None);
        assert_eq!(
            plugin_of(r#"{"reason":"build-finished","success":true}"#, root),
            None
        );
    }

    #[test]
    fn collecting_replaces_changed_and_removes_stale_plugins() {
        let dir = tempfile::tempdir().unwrap();
        let built = dir.path().join("libmedfocus_method_a.so");
        let folder = dir.path().join("plugins");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("libmedfocus_method_gone.so"), "stale").unwrap();
        fs::write(folder.join("libmedfocus_method_a.so"), "old").unwrap();
        fs::write(&built, "new").unwrap();

        collect(
            &[Plugin {
                library: built,
                kind: "methods".into(),
            }],
            &folder,
        )
        .unwrap();

        let names: Vec<_> = fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, ["libmedfocus_method_a.so"]);
        assert_eq!(
            fs::read(folder.join("libmedfocus_method_a.so")).unwrap(),
            b"new"
        );
    }
}
