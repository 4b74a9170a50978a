//! `cargo xtask test`: every test of the workspace, whole-system tests included.

use std::process::{Command, Stdio};

use anyhow::Result;

use crate::build;
use crate::workspace::{PRODUCT, SELECTIONS, Workspace, step};

/// What is set for the tests unless it is already.
const VARIABLES: [(&str, &str); 2] = [
    // The same change is judged on the same cases everywhere. `cargo test` draws new ones each time.
    ("PROPTEST_RNG_SEED", "2605"),
    // Tests run on all cores as it is; networks that want them all at once wait for each other, up to a hundred times as long.
    ("OMP_NUM_THREADS", "1"),
];

/// Builds what the whole-system tests start and load, then runs the tests and the documentation's
/// examples.
pub fn run(workspace: &Workspace) -> Result<()> {
    let libtorch = build::run(workspace)?;
    let cargo = |arguments: &[&str], selection: &[&str]| {
        let mut command = workspace.cargo(&libtorch);
        for (name, value) in VARIABLES {
            if std::env::var_os(name).is_none() {
                command.env(name, value);
            }
        }
        step(command.args(arguments).args(selection))
    };
    if !answers("chromium") {
        eprintln!(
            "Chromium is not installed: the tests of the web page test nothing (`apt-get install chromium`)."
        );
    }
    if nextest_is_installed() {
        for selection in SELECTIONS {
            cargo(
                &["nextest", "run", "--release", "--no-fail-fast"],
                selection,
            )?;
        }
        // Nextest leaves out the documentation's examples; this tool, a program, has none.
        cargo(&["test", "--release", "--doc"], PRODUCT)?;
        // Nextest gives each test a process of its own. The tests that load plugins must also pass in one
        // process, as `cargo test` runs them.
        cargo(&["test", "--release", "--test", "abi"], PRODUCT)
    } else {
        eprintln!("cargo-nextest is not installed: the slower `cargo test` runs the same tests.");
        SELECTIONS
            .iter()
            .try_for_each(|selection| cargo(&["test", "--release"], selection))
    }
}

fn nextest_is_installed() -> bool {
    let mut probe = Command::new("cargo-nextest");
    succeeds(probe.args(["nextest", "--version"]))
}

fn answers(program: &str) -> bool {
    succeeds(Command::new(program).arg("--version"))
}

fn succeeds(probe: &mut Command) -> bool {
    probe
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
