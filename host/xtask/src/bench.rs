//! `cargo xtask bench`: the benchmarks, with libtorch in place.

use anyhow::Result;

use crate::build;
use crate::workspace::{PRODUCT, Workspace, step};

#[derive(clap::Args)]
pub struct Args {
    /// What to run instead of everything, as `cargo bench` takes it: `-p medfocus-imaging`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Builds, then runs `cargo bench` over the workspace.
pub fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    let libtorch = build::run(workspace)?;
    let mut cargo = workspace.cargo(&libtorch);
    cargo.arg("bench");
    if args.arguments.is_empty() {
        cargo.args(PRODUCT);
    }
    step(cargo.args(&args.arguments))
}
