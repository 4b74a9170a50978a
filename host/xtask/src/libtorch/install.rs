//! Installing libtorch into `.libtorch`, so that a kill at any moment costs nothing that was fetched
//! and never leaves a half installation that is taken for a whole one.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};

use super::wheels::{Variant, wheels};
use super::{Libtorch, VERSION, stamp, unpack, view};
use crate::fetch::Fetcher;

/// The trees an installation consists of, in `.libtorch`.
const TREES: [&str; 3] = ["torch", "nvidia", "link"];

/// The installation in `home`, made or completed if need be.
pub fn ready(home: &Path, variant: Variant) -> Result<Libtorch> {
    if !stamp::satisfies(home, variant) {
        require_known_platform()?;
        fs::create_dir_all(home).with_context(|| format!("could not create {}", home.display()))?;
        let _lock = lock(home)?;
        // Whoever held the lock may have done the work.
        if !stamp::satisfies(home, variant) {
            install(home, variant)?;
        }
    }
    Ok(Libtorch {
        link: home.join("link"),
        runtime: home.join("torch"),
    })
}

fn require_known_platform() -> Result<()> {
    if cfg!(all(
        target_os = "linux",
        target_arch = "x86_64",
        target_env = "gnu"
    )) {
        return Ok(());
    }
    bail!(
        "libtorch is installed for x86-64 Linux with glibc only: set LIBTORCH to a libtorch {VERSION} for this machine"
    )
}

/// Waits until no other set-up is at work in `home`; released when dropped or when the process ends.
fn lock(home: &Path) -> Result<File> {
    let path = home.join("lock");
    let locking = || format!("could not lock {}", path.display());
    let file = File::create(&path).with_context(locking)?;
    if file.try_lock().is_err() {
        eprintln!("Waiting for another set-up to finish...");
        file.lock().with_context(locking)?;
    }
    Ok(file)
}

fn install(home: &Path, variant: Variant) -> Result<()> {
    let downloads = home.join("download");
    let fetcher = Fetcher::new(&downloads)?;
    let mut archives = Vec::new();
    for wheel in wheels(variant) {
        let archive = fetcher.fetch(&wheel.project(), wheel.file, wheel.sha256).map_err(|cause| {
            anyhow!(
                "{} could not be fetched ({cause:#}): run the command again when the package index can be reached \
                 (what has arrived is kept), or set LIBTORCH to an existing libtorch {VERSION}",
                wheel.file
            )
        })?;
        archives.push((wheel, archive));
    }

    eprintln!("Unpacking libtorch {VERSION}...");
    let staging = home.join("unpacking");
    remove_tree(&staging)?;
    for (wheel, archive) in &archives {
        unpack::unpack(wheel, variant, archive, &staging)?;
    }
    let installing = || format!("could not install libtorch in {}", home.display());
    let (lib, include) = (Path::new("../../torch/lib"), Path::new("../torch/include"));
    view::create(
        &staging.join("link"),
        &staging.join("torch/lib"),
        lib,
        include,
    )
    .with_context(installing)?;

    stamp::remove(home).with_context(installing)?;
    for tree in TREES {
        remove_tree(&home.join(tree))?;
        fs::rename(staging.join(tree), home.join(tree)).with_context(installing)?;
    }
    stamp::write(home, variant).with_context(installing)?;
    remove_tree(&staging)?;
    remove_tree(&downloads)
}

fn remove_tree(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("could not remove {}", path.display()))
        }
        _ => Ok(()),
    }
}
