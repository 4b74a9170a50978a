//! `cargo xtask demo`: from a fresh clone to a first attribution map.

use std::process::Command;

use anyhow::Result;

use crate::build;
use crate::workspace::{Workspace, step};

/// Where the demo leaves its results, relative to the workspace root.
const OUT: &str = "out/demo";

/// What `medfocus` is asked to do, one call a row.
const CALLS: &[&[&str]] = &[&[
    "attribute",
    "--model",
    "configs/models/phantom-gemma3.toml",
    "--method",
    "occlusion",
    "--image",
    "configs/demo/phantom.png",
    "--question",
    "Is there a pleural effusion?",
    "--out",
    OUT,
]];

/// Builds, runs every call, and says where the results are.
pub fn run(workspace: &Workspace) -> Result<()> {
    let libtorch = build::run(workspace)?;
    for arguments in CALLS {
        let mut medfocus = Command::new(workspace.medfocus());
        medfocus.args(*arguments).current_dir(&workspace.root);
        libtorch.for_running(&mut medfocus);
        step(&mut medfocus)?;
    }
    eprintln!("The results are in {}.", workspace.root.join(OUT).display());
    Ok(())
}
