//! The libtorch to build and run against: one the user names, or one installed into `.libtorch`.
//!
//! ```text
//! .libtorch/torch/{lib,include}   what runs; with --cuda this holds libtorch_cuda.so too
//! .libtorch/nvidia/...            what torch/lib finds through its $ORIGIN/../../nvidia run paths
//! .libtorch/link/{lib,include}    symbolic links to the above without CUDA: what plugins link
//! .libtorch/given/...             the same view of a libtorch the user names
//! ```
//!
//! torch-sys links libtorch_cuda.so as soon as it lies in the library folder, and such a plugin
//! cannot be loaded on a machine without CUDA; hence the separate folder to link against.

mod given;
mod install;
mod stamp;
mod unpack;
mod view;
mod wheels;

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

pub use wheels::Variant;

/// The release the `tch` crate is written for.
pub const VERSION: &str = "2.13.0";

/// The name of the installation folder in the workspace root.
const FOLDER: &str = ".libtorch";

/// Variables by which torch-sys could be led to another libtorch than the one decided on here.
const OVERRIDES: [&str; 3] = ["LIBTORCH_LIB", "LIBTORCH_INCLUDE", "LIBTORCH_USE_PYTORCH"];

/// A checked libtorch of the right version.
pub struct Libtorch {
    /// Holds `lib` and `include` without CUDA.
    link: PathBuf,
    /// Holds the `lib` that is opened at run time.
    runtime: PathBuf,
}

/// Finds or installs libtorch for the workspace at `root`.
pub fn ready(root: &Path, variant: Variant) -> Result<Libtorch> {
    let home = root.join(FOLDER);
    match given::from_environment(&|name| env::var_os(name), &home)? {
        Some(given) => given.into_libtorch(&home),
        None => install::ready(&home, variant),
    }
}

impl Libtorch {
    /// The folder whose `lib` the host opens.
    pub fn runtime(&self) -> &Path {
        &self.runtime
    }

    /// Makes a cargo command compile and link against this libtorch.
    pub fn for_building(&self, command: &mut Command) {
        command.env("LIBTORCH", &self.link);
        for name in OVERRIDES {
            command.env_remove(name);
        }
    }

    /// Makes `medfocus` open this libtorch.
    pub fn for_running(&self, command: &mut Command) {
        command.env("LIBTORCH", &self.runtime);
    }
}
