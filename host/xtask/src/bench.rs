//! `cargo xtask bench`: the benchmarks, with libtorch in place.

use anyhow::Result;

use crate::build;
use crate::workspace::{Workspace, step};

#[derive(clap::Args)]
pub struct Args {
    /// Passed on to `cargo bench`, for example `-p medfocus-imaging`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Builds, then runs `cargo bench` over the workspace.
pub fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    let libtorch = build::run(workspace)?;
    step(
        workspace
            .cargo(&libtorch)
            .args(["bench", "--workspace"])
            .args(&args.arguments),
    )
}
