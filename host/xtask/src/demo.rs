//! `cargo xtask demo`: from a fresh clone to a first attribution map and to a whole experiment.

use std::process::Command;

use anyhow::Result;

use crate::build;
use crate::workspace::{Workspace, step};

/// Where the demo leaves its first results, relative to the workspace root; the experiment's lie beside them.
const OUT: &str = "out/explained";

/// What `medfocus` is asked to do, one call a row: draw a phantom with a known finding, explain the demo model's
/// answer about it, then compare all methods on many phantoms.
const CALLS: &[&[&str]] = &[
    &[
        "sample",
        "--dataset",
        "phantom",
        "--index",
        "1",
        "--set",
        "dataset.width=512",
        "--set",
        "dataset.height=640",
        "--out",
        OUT,
    ],
    &[
        "attribute",
        "--config",
        "configs/demo.toml",
        "--model",
        "phantom-gemma3",
        "--method",
        "medfocus",
        "--image",
        "out/explained/image.png",
        "--question",
        "Is there evidence of pleural effusion in the image?",
        "--out",
        OUT,
    ],
    &["run", "configs/demo.toml"],
];

/// Builds, runs every call, and says where the results are.
pub fn run(workspace: &Workspace) -> Result<()> {
    let libtorch = build::run(workspace)?;
    for arguments in CALLS {
        let mut medfocus = Command::new(workspace.medfocus());
        medfocus.args(*arguments).current_dir(&workspace.root);
        libtorch.for_running(&mut medfocus);
        step(&mut medfocus)?;
    }
    eprintln!(
        "The explained image is in {}.",
        workspace.root.join(OUT).display()
    );
    Ok(())
}
