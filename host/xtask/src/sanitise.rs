//! `cargo xtask sanitise`: the waist's tests under LLVM's address sanitiser, which sees what the compiler is asked to trust there.

use std::process::Command;

use anyhow::Result;

use crate::workspace::{Workspace, step};

/// Sanitisers are not a stable option of the compiler; this variable lets a stable one take it.
const UNSTABLE: (&str, &str) = ("RUSTC_BOOTSTRAP", "1");

/// Builds the interface and its tests with the sanitiser, apart from everything else, and runs them. Needs no libtorch.
pub fn run(workspace: &Workspace) -> Result<()> {
    step(
        Command::new("cargo")
            .current_dir(&workspace.root)
            .args(["test", "--package", "medfocus-plugin-api"])
            .args(["--test", "waist", "--test", "evolution"])
            // With a target of its own, build scripts and macros are left alone.
            .args(["--target", "x86_64-unknown-linux-gnu"])
            .arg("--target-dir")
            .arg(workspace.release_dir().with_file_name("sanitised"))
            .env(UNSTABLE.0, UNSTABLE.1)
            .env("RUSTFLAGS", "-Zsanitizer=address"),
    )
}
