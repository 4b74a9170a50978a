//! What others depend on can be published as it is: the interface and its surface, and nothing else of the workspace.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::workspace::metadata;

/// The crates that a plugin's author gets from a registry, each after those that it depends on.
pub const PUBLISHED: [&str; 2] = ["medfocus-abi", "medfocus-plugin-api"];

/// Everything that keeps a crate from being published, or publishes one by mistake; one sentence each.
pub fn violations() -> Result<Vec<String>> {
    let metadata = metadata(&["--no-deps"])?;
    let packages = metadata["packages"].as_array();
    let packages = packages.context("`cargo metadata` lists no packages")?;
    Ok(packages.iter().flat_map(faults).collect())
}

fn faults(package: &Value) -> Vec<String> {
    let name = package["name"].as_str().unwrap_or_default();
    let open = package["publish"].is_null();
    match (open, PUBLISHED.contains(&name)) {
        (false, false) => return Vec::new(),
        (true, false) => return vec![format!("{name} has no `publish = false`")],
        (false, true) => return vec![format!("{name} has `publish = false`, but plugins need it")],
        (true, true) => {}
    }
    let mut faults = Vec::new();
    for key in [
        "description",
        "license",
        "readme",
        "documentation",
        "rust_version",
    ] {
        if package[key].as_str().is_none_or(str::is_empty) {
            faults.push(format!("{name} says no `{key}`"));
        }
    }
    // The limits of crates.io.
    for (key, most) in [("keywords", 5), ("categories", 5)] {
        let words = package[key].as_array().map_or(0, Vec::len);
        if words == 0 || words > most {
            faults.push(format!("{name} has {words} {key}, not 1 to {most}"));
        }
    }
    if package["metadata"]["docs"]["rs"].is_null() {
        faults.push(format!("{name} does not say how docs.rs builds it"));
    }
    let folder = Path::new(package["manifest_path"].as_str().unwrap_or_default()).parent();
    let readme = package["readme"].as_str().unwrap_or_default();
    if !folder.is_some_and(|folder| folder.join(readme).is_file()) {
        faults.push(format!("{name} has no {readme}"));
    }
    for dependency in package["dependencies"].as_array().into_iter().flatten() {
        let of = dependency["name"].as_str().unwrap_or_default();
        // A registry leaves out what tests alone find by path.
        let by_path = dependency["path"].is_string() && dependency["kind"] != "dev";
        if by_path && dependency["req"] == "*" {
            faults.push(format!("{name} names no version of {of}"));
        }
        if by_path && !PUBLISHED.contains(&of) {
            faults.push(format!("{name} needs {of}, which is not published"));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sound() -> Value {
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../../plugin-api/Cargo.toml");
        json!({
            "name": "medfocus-plugin-api",
            "manifest_path": manifest,
            "description": "x",
            "license": "Apache-2.0",
            "readme": "README.md",
            "documentation": "https://docs.rs/x",
            "rust_version": "1.95",
            "keywords": ["x"],
            "categories": ["science"],
            "metadata": { "docs": { "rs": { "all-features": true } } },
            "publish": null,
            "dependencies": [
                { "name": "medfocus-abi", "path": "/x", "req": "^1.0.0", "kind": null },
                { "name": "medfocus-plugin-api", "path": "/x", "req": "*", "kind": "dev" },
                { "name": "serde", "req": "^1", "kind": null },
            ],
        })
    }

    #[test]
    fn each_fault_is_reported() {
        assert_eq!(faults(&sound()), Vec::<String>::new());
        for (pointer, value, word) in [
            ("/description", json!(null), "`description`"),
            ("/license", json!(""), "`license`"),
            ("/readme", json!("MISSING.md"), "has no MISSING.md"),
            ("/keywords", json!([]), "0 keywords"),
            (
                "/categories",
                json!(["a", "b", "c", "d", "e", "f"]),
                "6 categories",
            ),
            ("/metadata", json!(null), "docs.rs"),
            ("/publish", json!([]), "plugins need it"),
            (
                "/dependencies/0/req",
                json!("*"),
                "no version of medfocus-abi",
            ),
            (
                "/dependencies/0/name",
                json!("medfocus"),
                "which is not published",
            ),
            ("/name", json!("medfocus"), "no `publish = false`"),
        ] {
            let mut package = sound();
            *package.pointer_mut(pointer).unwrap() = value;
            let found = faults(&package);
            assert_eq!(found.len(), 1, "{pointer}: {found:?}");
            assert!(found[0].contains(word), "{pointer}: {found:?}");
        }
    }

    #[test]
    fn this_workspace_can_be_published() {
        assert_eq!(violations().unwrap(), Vec::<String>::new());
    }
}
