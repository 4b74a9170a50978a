//! Making a folder of a kit.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::PermissionsExt,
    path::Path,
};

use medfocus_plugin_api::{Error, Result, file, manifest::TARGET};

use super::{
    kit::Kit,
    manifest::{Entry, MANIFEST},
};
use crate::{
    output::{OutDir, failed},
    trust::SUFFIX,
};

/// Writes the files of a kit to a folder, which appears whole or not at all.
///
/// # Errors
///
/// The kit is for other machines, or one of its files is not the one of its manifest; there is something in the folder; the disk
/// fails.
pub fn install(kit: Kit, folder: &Path) -> Result<()> {
    let (theirs, ours) = (kit.manifest.target.clone(), TARGET.concat());
    if theirs != ours {
        return Err(
            Error::unsupported(format!("the kit is for {theirs}, this machine is {ours}"))
                .with_hint("get the kit for this machine"),
        );
    }
    OutDir::whole(folder, |out| {
        out.write(MANIFEST, |file| file.write_all(&kit.bytes))?;
        if let Ok(signature) = file::read(&kit.signature) {
            let name = format!("{MANIFEST}{SUFFIX}");
            out.write(&name, |file| file.write_all(&signature))?;
        }
        kit.files(|entry, content| put(out, entry, content))
    })
}

fn put(out: &OutDir, entry: &Entry, content: &mut dyn io::Read) -> Result<()> {
    let mut folders: Vec<&str> = entry.path.split('/').collect();
    let name = folders.pop().unwrap_or_default();
    let place = out
        .within(&folders)?
        .write(name, |file| io::copy(content, file).map(|_| ()))?;
    if entry.executable {
        let change = || {
            let mode = place.metadata()?.permissions().mode();
            // Whoever may read it may run it.
            fs::set_permissions(&place, Permissions::from_mode(mode | ((mode & 0o444) >> 2)))
        };
        change().map_err(|error| failed("make executable", &place, &error))?;
    }
    Ok(())
}
