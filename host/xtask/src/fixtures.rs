//! `cargo xtask fixtures`: recompute, with the Python reference implementations, the fixtures the
//! tests compare against. The results are committed; only whoever changes a generator needs this.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::workspace::{Workspace, step};

/// The pinned packages, relative to the workspace root.
const REQUIREMENTS: &str = "host/xtask/requirements.txt";

#[derive(clap::Args)]
pub struct Args {
    /// Recompute only these folders of tests/fixtures
    names: Vec<String>,
}

/// Prepares `.venv` and runs `tests/fixtures/<name>/generate.py` for each name.
pub fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    let generators = generators(&workspace.root.join("tests/fixtures"), &args.names)?;
    let python = environment(&workspace.root)?;
    for generator in generators {
        let folder = generator.parent().unwrap_or(&workspace.root);
        step(Command::new(&python).arg(&generator).current_dir(folder))?;
    }
    Ok(())
}

/// The generators to run, in the order of their names.
fn generators(fixtures: &Path, names: &[String]) -> Result<Vec<PathBuf>> {
    let generator = |name: &str| fixtures.join(name).join("generate.py");
    if let Some(unknown) = names.iter().find(|name| !generator(name).is_file()) {
        bail!("there is no {}", generator(unknown).display());
    }
    if !names.is_empty() {
        return Ok(names.iter().map(|name| generator(name)).collect());
    }
    let entries =
        fs::read_dir(fixtures).with_context(|| format!("could not list {}", fixtures.display()))?;
    let mut found: Vec<_> = entries
        .flatten()
        .map(|entry| entry.path().join("generate.py"))
        .collect();
    found.retain(|path| path.is_file());
    found.sort();
    Ok(found)
}

/// The interpreter of `.venv`, holding exactly the pinned packages.
fn environment(root: &Path) -> Result<PathBuf> {
    let folder = root.join(".venv");
    let python = folder.join("bin/python");
    let wanted = fs::read_to_string(root.join(REQUIREMENTS))
        .with_context(|| format!("could not read {REQUIREMENTS}"))?;
    // Written last: what it holds was installed completely.
    let stamp = folder.join("installed-requirements.txt");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    step(
        Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&folder),
    )?;
    let pip = [
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--no-deps",
        "--requirement",
    ];
    step(Command::new(&python).args(pip).arg(root.join(REQUIREMENTS)))?;
    fs::write(&stamp, wanted).with_context(|| format!("could not write {}", stamp.display()))?;
    Ok(python)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generators_are_found_by_their_file_and_chosen_by_name() {
        let fixtures = tempfile::tempdir().unwrap();
        for name in ["gemma3", "attention", "data-only"] {
            fs::create_dir(fixtures.path().join(name)).unwrap();
        }
        for name in ["gemma3", "attention"] {
            fs::write(fixtures.path().join(name).join("generate.py"), "").unwrap();
        }
        let path = |name: &str| fixtures.path().join(name).join("generate.py");

        assert_eq!(
            generators(fixtures.path(), &[]).unwrap(),
            [path("attention"), path("gemma3")]
        );
        assert_eq!(
            generators(fixtures.path(), &["gemma3".into()]).unwrap(),
            [path("gemma3")]
        );
        let error = generators(fixtures.path(), &["data-only".into()])
            .unwrap_err()
            .to_string();
        assert!(error.contains("data-only"), "{error}");
    }
}
