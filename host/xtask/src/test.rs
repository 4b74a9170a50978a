//! `cargo xtask test`: every test of the workspace, whole-system tests included.

use std::process::{Command, Stdio};

use anyhow::Result;

use crate::build;
use crate::workspace::{Workspace, step};

/// Builds what the whole-system tests start and load, then runs the tests and the documentation's
/// examples.
pub fn run(workspace: &Workspace) -> Result<()> {
    let libtorch = build::run(workspace)?;
    let cargo = |arguments: &[&str]| step(workspace.cargo(&libtorch).args(arguments));
    if nextest_is_installed() {
        cargo(&["nextest", "run", "--release", "--workspace"])?;
    } else {
        eprintln!(
            "cargo-nextest is not installed, so the slower `cargo test` runs the same tests."
        );
        cargo(&[
            "test",
            "--release",
            "--workspace",
            "--lib",
            "--bins",
            "--tests",
        ])?;
    }
    cargo(&["test", "--release", "--workspace", "--doc"])
}

fn nextest_is_installed() -> bool {
    let mut probe = Command::new("cargo-nextest");
    probe
        .args(["nextest", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    probe.status().is_ok_and(|status| status.success())
}
