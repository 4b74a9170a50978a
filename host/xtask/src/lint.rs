//! `cargo xtask lint`: everything about the code that needs no test to run.

use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::libtorch::Variant;
use crate::rules::{arrows, published};
use crate::setup;
use crate::workspace::{SELECTIONS, Workspace, step};

#[derive(clap::Args)]
pub struct Args {
    /// Also look the dependencies up in the RustSec database (fetched from github.com)
    #[arg(long)]
    advisories: bool,
}

/// Runs every check, even after one has failed, and reports the failures together.
pub fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    let libtorch = setup::ready(workspace, Variant::Cpu)?;
    let cargo = |arguments: &[&str]| {
        let mut command = workspace.cargo(&libtorch);
        command.args(arguments);
        command
    };
    let mut checks = vec![
        step(&mut cargo(&["fmt", "--all", "--check"])),
        check_arrows(),
        check_published(),
    ];
    // What a registry would be sent, without building it once more.
    let mut package = cargo(&[
        "package",
        "--offline",
        "--allow-dirty",
        "--no-verify",
        "--quiet",
    ]);
    for name in published::PUBLISHED {
        package.args(["--package", name]);
    }
    checks.push(step(&mut package));
    for selection in SELECTIONS {
        let mut clippy = cargo(&["clippy", "--release", "--all-targets"]);
        let mut doc = cargo(&["doc", "--release", "--no-deps"]);
        checks.push(step(clippy.args(selection).args(["--", "-D", "warnings"])));
        checks.push(step(doc.args(selection).env("RUSTDOCFLAGS", "-D warnings")));
    }
    if cargo_deny_is_installed() {
        checks.push(step(&mut cargo(&[
            "deny",
            "--offline",
            "check",
            "bans",
            "licenses",
            "sources",
        ])));
        if args.advisories {
            checks.push(step(&mut cargo(&["deny", "check", "advisories"])));
        }
    } else {
        eprintln!("cargo-deny is not installed, so licences and sources were NOT checked.");
    }
    let failures: Vec<_> = checks
        .into_iter()
        .filter_map(Result::err)
        .map(|error| format!("{error:#}"))
        .collect();
    if !failures.is_empty() {
        bail!("these checks failed:\n  {}", failures.join("\n  "));
    }
    eprintln!("All checks passed.");
    Ok(())
}

fn check_arrows() -> Result<()> {
    eprintln!("Checking the dependency rules...");
    let violations = arrows::violations()?;
    if !violations.is_empty() {
        bail!("{}", violations.join("\n  "));
    }
    Ok(())
}

fn check_published() -> Result<()> {
    let violations = published::violations()?;
    if !violations.is_empty() {
        bail!("{}", violations.join("\n  "));
    }
    Ok(())
}

fn cargo_deny_is_installed() -> bool {
    let mut probe = Command::new("cargo-deny");
    probe
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    probe.status().is_ok_and(|status| status.success())
}
