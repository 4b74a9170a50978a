//! Opening a plugin: the last checks, then its code runs.
//!
//! The file is read once. What was read is hashed, checked against the pins, signatures and the plan, and loaded: whatever becomes of
//! the file meanwhile, a digest in a record is that of the code that ran.

#![allow(unsafe_code, reason = "plugins are opened as code")]

use std::{
    fs::File,
    io::{self, Write},
    os::fd::AsRawFd,
    path::Path,
};

use libloading::os::unix::{Library as OsLibrary, RTLD_LOCAL, RTLD_NOW};
use medfocus_plugin_api::{
    Error, Result,
    abi::{ComponentBox, HostBox},
};
use rustix::fs::{MemfdFlags, memfd_create};

use super::{contents::Contents, gate::Gate, identity::PluginId, inspect::Inspected, root::Root};
use crate::{libtorch::Libtorch, trust::Voucher};

/// A plugin whose code is in the process. It is never closed: its types and threads live on.
#[derive(Clone)]
pub struct Library {
    root: Root,
    /// What was loaded.
    pub id: PluginId,
    /// Who vouched for it.
    pub voucher: Voucher,
}

impl Library {
    /// Checks that the plugin is the one that was `planned` with, if any was, and that it passes the gate, makes libtorch
    /// ready if it links it, and opens the library.
    ///
    /// # Errors
    ///
    /// One sentence on why this plugin is refused; the process goes on without it.
    pub fn open(
        plugin: &Inspected,
        planned: Option<&PluginId>,
        gate: &Gate,
        libtorch: &Libtorch,
    ) -> Result<Self> {
        let path = plugin.path.display().to_string();
        let refuse = |error: Error| error.context(format!("plugin {path}"));
        let contents = Contents::read(plugin)?;
        let id = contents.id.clone();
        if let Some(planned) = planned.filter(|planned| **planned != id) {
            let message = format!(
                "has changed since the plan was made: its digest was {}, now it is {}",
                planned.digest, id.digest
            );
            return Err(refuse(
                Error::invalid(message).with_hint("give the command again"),
            ));
        }
        let voucher = gate.admit(&plugin.path, &contents)?;
        if let Some(version) = &plugin.manifest.libtorch {
            libtorch.open(version).map_err(refuse)?;
        }
        let copy = in_memory(&plugin.path, &contents.bytes).map_err(|error| {
            refuse(Error::internal(format!(
                "cannot be copied into memory: {error}"
            )))
        })?;
        let name = format!("/proc/self/fd/{}", copy.as_raw_fd());
        // SAFETY: running a stranger's initialisers is what the gate is there to allow or refuse.
        let library =
            unsafe { OsLibrary::open(Some(&name), RTLD_NOW | RTLD_LOCAL) }.map_err(|error| {
                let error = first_line(&error).replace(&name, &path);
                refuse(Error::unsupported(format!("cannot be opened: {error}")))
            })?;
        // The loader knows the library by this number, and would take the next file that has it for the same library.
        std::mem::forget(copy);
        let root = Root::of(&library);
        // Its code may have started threads: it must stay.
        std::mem::forget(library);
        let root = root.map_err(refuse)?;
        if root.describe().map_err(refuse)? != plugin.manifest_json {
            return Err(refuse(Error::invalid(
                "describes itself differently from its manifest; do not trust it",
            )));
        }
        tracing::debug!(plugin = id.name, digest = id.digest, %voucher, "loaded");
        Ok(Self { root, id, voucher })
    }

    /// Makes a component.
    ///
    /// # Errors
    ///
    /// What the component's own constructor fails with.
    pub fn create(
        &self,
        component: &str,
        params: &serde_json::Value,
        host: HostBox,
    ) -> Result<ComponentBox> {
        self.root.create(component, &params.to_string(), host)
    }
}

/// A file of these bytes that no other program can reach; debuggers and `/proc/self/maps` show the plugin's own name.
fn in_memory(path: &Path, bytes: &[u8]) -> io::Result<File> {
    let name = path.file_name().unwrap_or_default();
    let make = |flags| memfd_create(name, MemfdFlags::CLOEXEC | flags);
    // Kernels before 6.3 do not know the flag; later ones may be set to refuse code in files without it.
    let file = make(MemfdFlags::EXEC).or_else(|_| make(MemfdFlags::empty()))?;
    let mut file = File::from(file);
    file.write_all(bytes)?;
    Ok(file)
}

fn first_line(error: &dyn std::fmt::Display) -> String {
    error
        .to_string()
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned()
}
