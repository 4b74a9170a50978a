//! Where things are, and how sub-processes are started.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::libtorch::Libtorch;

/// The packages of the workspace, as two selections for cargo: all but this tool, and this tool.
///
/// Cargo unites the features of the packages it selects. In one selection this tool, which is compiled
/// alone before anything else, would be compiled once more, its TLS library included.
pub const SELECTIONS: [&[&str]; 2] = [PRODUCT, &["--package", "xtask"]];

/// All packages but this tool.
pub const PRODUCT: &[&str] = &["--workspace", "--exclude", "xtask"];

/// The checkout and its target directory, both absolute.
pub struct Workspace {
    pub root: PathBuf,
    pub target: PathBuf,
}

impl Workspace {
    /// Asks cargo, so that `CARGO_TARGET_DIR` and cargo's configuration are respected.
    pub fn open() -> Result<Self> {
        let metadata = metadata(&["--no-deps"])?;
        let path = |key: &str| {
            metadata[key]
                .as_str()
                .map(PathBuf::from)
                .with_context(|| format!("`cargo metadata` names no {key}"))
        };
        Ok(Self {
            root: path("workspace_root")?,
            target: path("target_directory")?,
        })
    }

    /// Where cargo puts the release profile, the only one in use.
    pub fn release_dir(&self) -> PathBuf {
        self.target.join("release")
    }

    /// The host's default plugin folder: `plugins/` beside its executable.
    pub fn plugins_dir(&self) -> PathBuf {
        self.release_dir().join("plugins")
    }

    /// The `medfocus` executable.
    pub fn medfocus(&self) -> PathBuf {
        self.release_dir().join("medfocus")
    }

    /// `cargo` in the workspace root, building against `libtorch`.
    pub fn cargo(&self, libtorch: &Libtorch) -> Command {
        let mut command = Command::new(cargo_program());
        command.current_dir(&self.root);
        libtorch.for_building(&mut command);
        command
    }
}

/// The output of `cargo metadata` with these further arguments.
pub fn metadata(arguments: &[&str]) -> Result<Value> {
    let mut command = Command::new(cargo_program());
    command
        .args(["metadata", "--format-version", "1"])
        .args(arguments)
        .stderr(Stdio::inherit());
    let output = command.output().context("could not start cargo")?;
    if !output.status.success() {
        bail!("`cargo metadata` failed: {}", output.status);
    }
    serde_json::from_slice(&output.stdout)
        .context("`cargo metadata` printed something that is not JSON")
}

/// Runs one step, showing its command line; an error if it cannot start or fails.
pub fn step(command: &mut Command) -> Result<()> {
    let line = announce(command);
    let status = command
        .status()
        .with_context(|| format!("could not start `{line}`"))?;
    if !status.success() {
        bail!("`{line}` failed: {status}");
    }
    Ok(())
}

/// Prints a command the way it would be typed, and returns that line.
pub fn announce(command: &Command) -> String {
    let program = Path::new(command.get_program())
        .file_name()
        .unwrap_or_default();
    let words = std::iter::once(program).chain(command.get_args());
    let line = words
        .map(|word| quoted(&word.to_string_lossy()))
        .collect::<Vec<_>>()
        .join(" ");
    eprintln!("$ {line}");
    line
}

fn quoted(word: &str) -> String {
    if word.contains(|c: char| c.is_whitespace() || "'\"*$".contains(c)) {
        format!("'{}'", word.replace('\'', r"'\''"))
    } else {
        word.to_owned()
    }
}

fn cargo_program() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn words_are_quoted_for_a_shell_only_when_needed() {
        assert_eq!(quoted("--release"), "--release");
        assert_eq!(quoted("where is it?"), "'where is it?'");
        assert_eq!(quoted("it's here"), r"'it'\''s here'");
    }
}
