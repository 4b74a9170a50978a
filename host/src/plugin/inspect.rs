//! What can be known of a plugin without running it.

#![allow(unsafe_code, reason = "a manifest is read from a memory map")]

use std::path::{Path, PathBuf};

use medfocus_plugin_api::{
    Error, Manifest, Result, abi, file,
    manifest::{self, ComponentManifest},
};
use memmap2::Mmap;
use object::{
    Architecture, Object, ObjectSection, ObjectSegment,
    read::elf::{ElfFile64, FileHeader},
};
use serde::Deserialize;
use serde_json::Value;

use super::script::{self, Script};

/// A library file whose headers are sound and whose manifest is readable.
#[derive(Clone, Debug)]
pub struct Inspected {
    /// The library.
    pub path: PathBuf,
    /// Its embedded manifest, parsed; without the components that are [`refused`](Self::refused).
    pub manifest: Manifest,
    /// Why some of its components are unknown to this host.
    pub refused: Vec<Error>,
    /// The same, as embedded.
    pub manifest_json: String,
    /// What runs it, if it is no library.
    pub(super) script: Option<Script>,
}

impl Inspected {
    /// Whether another program runs it.
    pub const fn is_script(&self) -> bool {
        self.script.is_some()
    }

    /// All its files.
    pub fn files(&self) -> Vec<PathBuf> {
        let names = self.script.iter().flat_map(Script::files);
        let others = names.map(|name| self.path.with_file_name(name));
        [self.path.clone()].into_iter().chain(others).collect()
    }
}

/// Reads and checks a library's headers and manifest, or a file that describes a plugin (`NAME.medfocus.json`); runs none of its code.
///
/// A library without a manifest section is not a plugin and yields nothing.
///
/// # Errors
///
/// One sentence on why the file cannot be a plugin for this host.
pub fn inspect(path: &Path) -> Result<Option<Inspected>> {
    let refuse = |why: String| Error::invalid(format!("plugin {} {why}", path.display()));
    if script::is_script(path) {
        let text = file::read_to_string(path)
            .map_err(|error| refuse(format!("cannot be read: {error}")))?;
        let (script, manifest) =
            script::parse(text.as_bytes()).map_err(|error| refuse(error.message))?;
        return Ok(Some(Inspected {
            script: Some(script),
            ..with_manifest(path, manifest)?
        }));
    }
    let file = file::open(path).map_err(|error| refuse(format!("cannot be opened: {error}")))?;
    let size = file
        .metadata()
        .map_err(|error| refuse(format!("cannot be opened: {error}")))?
        .len();
    if size == 0 {
        return Err(refuse("is an empty file; copy it again".into()));
    }
    // SAFETY: the file may change under the map: the worst case is a wrong manifest, and its digest is
    // checked before it is opened as code.
    let bytes =
        unsafe { Mmap::map(&file) }.map_err(|error| refuse(format!("cannot be read: {error}")))?;
    let elf = ElfFile64::<object::Endianness>::parse(&*bytes).map_err(|error| {
        refuse(format!(
            "is not a whole shared library ({error}); copy it again"
        ))
    })?;
    if elf.elf_header().e_type(elf.endian()) != object::elf::ET_DYN {
        return Err(refuse("is not a shared library".into()));
    }
    if elf.architecture() != HOST_ARCHITECTURE {
        return Err(refuse(format!(
            "is for {:?} machines; this one is {HOST_ARCHITECTURE:?}",
            elf.architecture()
        )));
    }
    for segment in elf.segments() {
        let (offset, length) = segment.file_range();
        if offset.checked_add(length).is_none_or(|end| end > size) {
            return Err(refuse(format!(
                "is cut short at {size} bytes; copy it again"
            )));
        }
    }
    let Some(section) = elf.section_by_name(manifest::SECTION) else {
        return Ok(None);
    };
    let manifest_json = section
        .data()
        .ok()
        .and_then(|data| std::str::from_utf8(data).ok())
        .ok_or_else(|| refuse("has an unreadable manifest; build it again".into()))?
        .to_owned();
    Ok(Some(with_manifest(path, manifest_json)?))
}

/// A plugin that says this of itself.
fn with_manifest(path: &Path, manifest_json: String) -> Result<Inspected> {
    let refuse = |why: String| Error::invalid(format!("plugin {} {why}", path.display()));
    let unreadable = |error| {
        refuse(format!(
            "has an unreadable manifest ({error}); build it again"
        ))
    };
    // Another epoch's manifest may hold anything else.
    let header: Header = serde_json::from_str(&manifest_json).map_err(unreadable)?;
    check(&header).map_err(|why| refuse(why.message))?;
    let mut manifest: Value = serde_json::from_str(&manifest_json).map_err(unreadable)?;
    let refused: Vec<Error> = set_strangers_aside(&mut manifest)
        .into_iter()
        .map(refuse)
        .collect();
    let manifest: Manifest = serde_json::from_value(manifest).map_err(unreadable)?;
    Ok(Inspected {
        path: path.to_owned(),
        manifest,
        refused,
        manifest_json,
        script: None,
    })
}

const HOST_ARCHITECTURE: Architecture = if cfg!(target_arch = "aarch64") {
    Architecture::Aarch64
} else {
    Architecture::X86_64
};

/// The target of what runs on every machine.
const ANY_TARGET: &str = "any";

/// What the manifest of every epoch says.
#[derive(Deserialize)]
struct Header {
    abi_epoch: u32,
    target: String,
}

/// Takes out the components that this host cannot read, such as those of a kind that came after it,
/// and says why, one sentence each; the others are as good as ever.
fn set_strangers_aside(manifest: &mut Value) -> Vec<String> {
    let mut strangers = Vec::new();
    if let Some(components) = manifest["components"].as_array_mut() {
        components.retain(|component| {
            let Err(error) = ComponentManifest::deserialize(component) else {
                return true;
            };
            let name = component["name"].as_str().unwrap_or("without a name");
            strangers.push(format!(
                "has a component `{name}` that this host cannot use ({error}); update this host"
            ));
            false
        });
    }
    strangers
}

fn check(manifest: &Header) -> Result<()> {
    let target = manifest::TARGET.concat();
    if manifest.abi_epoch != abi::EPOCH {
        let (theirs, ours) = (manifest.abi_epoch, abi::EPOCH);
        let advice = if theirs > ours {
            "update this host"
        } else {
            "build the plugin again with the current medfocus-plugin-api"
        };
        return Err(Error::unsupported(format!(
            "speaks ABI epoch {theirs}, this host epoch {ours}; {advice}"
        )));
    }
    if manifest.target != target && manifest.target != ANY_TARGET {
        return Err(Error::unsupported(format!(
            "was built for {}, this host runs on {target}; build it for this machine",
            manifest.target
        )));
    }
    Ok(())
}
