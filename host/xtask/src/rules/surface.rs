//! What is published changes as its version says: the public items of a crate stand in `surface.txt` beside its manifest,
//! whose first line is the version that they are of.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use public_api::{Builder, PublicApi};
use semver::{Version, VersionReq};

use super::published::PUBLISHED;
use crate::workspace::{Workspace, metadata, step};

/// Whoever sees what changed, and means it, has the listings written.
const WRITE: &str = "WRITE_SURFACE";

/// A crate's public items, one a line, and its version.
#[derive(Debug, PartialEq, Eq)]
struct Surface {
    version: Version,
    items: BTreeSet<String>,
}

impl Surface {
    fn read(text: &str) -> Result<Self> {
        let (version, items) = text.split_once('\n').context("there is no first line")?;
        Ok(Self {
            version: version.parse().context("the first line is no version")?,
            items: items.lines().map(str::to_owned).collect(),
        })
    }

    fn text(&self) -> String {
        let items = self.items.iter().map(|item| format!("{item}\n"));
        format!("{}\n{}", self.version, items.collect::<String>())
    }

    /// What rustdoc sees in a crate, all features on.
    fn of(name: &str, version: Version, workspace: &Workspace) -> Result<Self> {
        // A target of its own: the variable below would have everything compiled again there.
        let target = workspace.target.join("surface");
        let mut rustdoc = Command::new("cargo");
        rustdoc
            .current_dir(&workspace.root)
            // Rustdoc's JSON is not yet for all compilers.
            .env("RUSTC_BOOTSTRAP", "1")
            .args(["rustdoc", "--quiet", "--lib", "--all-features"])
            .args(["--package", name, "--target-dir"])
            .arg(&target)
            .args(["--", "-Z", "unstable-options", "--output-format", "json"]);
        step(&mut rustdoc)?;
        let file = format!("doc/{}.json", name.replace('-', "_"));
        let listed = Builder::from_rustdoc_json(target.join(file))
            .omit_blanket_impls(true)
            .omit_auto_trait_impls(true)
            .omit_auto_derived_impls(true)
            .build()?;
        Ok(Self {
            version,
            items: items(&listed),
        })
    }

    /// What keeps this one from being what follows `before`; nothing if a user of that one can use this one.
    fn breaks(&self, before: &Self) -> Option<String> {
        let gone: Vec<_> = before.items.difference(&self.items).collect();
        let follows = VersionReq::parse(&format!("^{}", before.version));
        if gone.is_empty() || !follows.is_ok_and(|follows| follows.matches(&self.version)) {
            return None;
        }
        let gone: String = gone.iter().map(|item| format!("\n    {item}")).collect();
        Some(format!(
            "version {} promises what {} had; these are gone or changed:{gone}",
            self.version, before.version
        ))
    }
}

fn items(listed: &PublicApi) -> BTreeSet<String> {
    listed.items().map(ToString::to_string).collect()
}

/// Compares a crate with its listing, and writes that where it is asked to.
fn check(name: &str, manifest: &Path, version: Version, workspace: &Workspace) -> Result<()> {
    let now = Surface::of(name, version, workspace)?;
    let file = manifest.with_file_name("surface.txt");
    if file.exists() {
        let text = fs::read_to_string(&file)?;
        let before = Surface::read(&text).with_context(|| file.display().to_string())?;
        if let Some(why) = now.breaks(&before) {
            bail!("{name}: {why}");
        }
        if now == before {
            return Ok(());
        }
    }
    if std::env::var_os(WRITE).is_none() {
        bail!(
            "{name} has other public items than {} lists: {WRITE}=1 writes it",
            file.display()
        );
    }
    fs::write(&file, now.text()).with_context(|| file.display().to_string())
}

#[test]
fn what_is_published_keeps_what_its_version_promises() {
    let workspace = Workspace::open().unwrap();
    let packages = metadata(&["--no-deps"]).unwrap();
    for package in packages["packages"].as_array().unwrap() {
        let text = |key: &str| package[key].as_str().unwrap();
        if PUBLISHED.contains(&text("name")) {
            let manifest = Path::new(text("manifest_path"));
            let version = text("version").parse().unwrap();
            check(text("name"), manifest, version, &workspace).unwrap();
        }
    }
}

#[test]
fn only_a_new_release_may_take_something_away() {
    let surface = |version: &str, items: &[&str]| Surface {
        version: version.parse().unwrap(),
        items: items.iter().map(|&item| item.to_owned()).collect(),
    };
    let before = surface("0.1.0", &["pub fn a()", "pub fn b()"]);
    assert_eq!(Surface::read(&before.text()).unwrap(), before);
    let more = surface("0.1.0", &["pub fn a()", "pub fn b()", "pub fn c()"]);
    assert_eq!(more.breaks(&before), None);
    let less = |version| surface(version, &["pub fn a()", "pub fn b(u8)"]).breaks(&before);
    assert!(less("0.1.1").unwrap().ends_with("\n    pub fn b()"));
    assert_eq!(less("0.2.0"), None);
}
