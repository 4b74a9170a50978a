//! `cargo xtask kills` and `cargo xtask fuzz`: two tests that go on for longer than every day.

use anyhow::Result;

use crate::build;
use crate::workspace::{Workspace, step};

#[derive(clap::Args)]
pub struct Kills {
    /// How many processes to kill
    #[arg(long, default_value_t = 1000)]
    times: u64,
}

#[derive(clap::Args)]
pub struct Fuzz {
    /// What reads the inputs, as a folder of tests/fuzz/seeds is called; everything if it is left out
    target: Option<String>,
    /// Seconds for each
    #[arg(long, default_value_t = 300)]
    seconds: u64,
}

/// Kills a run and its plugins.
pub fn kills(workspace: &Workspace, args: &Kills) -> Result<()> {
    run(workspace, "kills", None, ("KILLS", args.times))
}

/// Gives damaged inputs to whatever reads what others wrote.
pub fn fuzz(workspace: &Workspace, args: &Fuzz) -> Result<()> {
    let seconds = ("FUZZ_SECONDS", args.seconds);
    run(workspace, "fuzz", args.target.as_deref(), seconds)
}

/// Builds, and runs one file of tests, or the one test of it, with a variable that says how long.
fn run(
    workspace: &Workspace,
    file: &str,
    test: Option<&str>,
    (variable, value): (&str, u64),
) -> Result<()> {
    let libtorch = build::run(workspace)?;
    let mut cargo = workspace.cargo(&libtorch);
    cargo.args([
        "test",
        "--release",
        "--package",
        "medfocus-tests",
        "--test",
        file,
        "--",
        "--nocapture",
    ]);
    // One after the other: what limits memory limits it for the process.
    cargo.arg("--test-threads=1");
    if let Some(test) = test {
        cargo.args(["--exact", test]);
    }
    step(cargo.env(variable, value.to_string()))
}
