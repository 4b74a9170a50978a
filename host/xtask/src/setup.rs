//! `cargo xtask setup`: everything the build needs that cargo does not bring.

use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::libtorch::{self, Libtorch, Variant};
use crate::workspace::Workspace;

#[derive(clap::Args)]
pub struct Args {
    /// Install the CUDA libraries too (several GB more; not yet tried on a machine with a GPU)
    #[arg(long)]
    cuda: bool,
}

/// Installs libtorch if it is not there yet, and says where it is.
pub fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    let libtorch = ready(
        workspace,
        if args.cuda {
            Variant::Cuda
        } else {
            Variant::Cpu
        },
    )?;
    eprintln!(
        "libtorch {} is ready in {}.",
        libtorch::VERSION,
        libtorch.runtime().display()
    );
    Ok(())
}

/// A libtorch to build against; what every building command begins with.
pub fn ready(workspace: &Workspace, variant: Variant) -> Result<Libtorch> {
    require_cxx_compiler()?;
    libtorch::ready(&workspace.root, variant)
}

/// Without a C++ compiler the libtorch bindings fail minutes later, with a page of output.
fn require_cxx_compiler() -> Result<()> {
    let compiler = std::env::var_os("CXX").unwrap_or_else(|| "c++".into());
    // CXX may hold a wrapper and flags ("ccache g++"); only its first word is a program.
    let text = compiler.to_string_lossy();
    let program = text.split_whitespace().next().unwrap_or("c++");
    let found = Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if found.is_err() {
        bail!(
            "no C++ compiler `{program}` was found: install one (on Debian and Ubuntu: `apt-get install g++`)"
        );
    }
    Ok(())
}
