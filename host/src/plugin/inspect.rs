//! What can be known of a plugin without running it.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use medfocus_plugin_api::{Error, Manifest, Result, abi, manifest};
use memmap2::Mmap;
use object::{
    Architecture, Object, ObjectSection, ObjectSegment,
    read::elf::{ElfFile64, FileHeader},
};

/// A library file whose headers are sound and whose manifest is readable.
#[derive(Clone, Debug)]
pub struct Inspected {
    /// The library.
    pub path: PathBuf,
    /// Its embedded manifest, parsed.
    pub manifest: Manifest,
    /// The same, as embedded.
    pub manifest_json: String,
}

/// Reads and checks a library's headers and manifest; runs none of its code.
///
/// A library without a manifest section is not a plugin and yields nothing.
///
/// # Errors
///
/// One sentence on why the file cannot be a plugin for this host.
pub fn inspect(path: &Path) -> Result<Option<Inspected>> {
    let refuse = |why: String| Error::invalid(format!("plugin {} {why}", path.display()));
    let file = File::open(path).map_err(|error| refuse(format!("cannot be opened: {error}")))?;
    let size = file
        .metadata()
        .map_err(|error| refuse(format!("cannot be opened: {error}")))?
        .len();
    if size == 0 {
        return Err(refuse("is an empty file; copy it again".into()));
    }
    // The file may change under the map: the worst case is a wrong manifest, and its digest is
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
    let manifest: Manifest = serde_json::from_str(&manifest_json).map_err(|error| {
        refuse(format!(
            "has an unreadable manifest ({error}); build it again"
        ))
    })?;
    check(&manifest).map_err(|why| refuse(why.message))?;
    Ok(Some(Inspected {
        path: path.to_owned(),
        manifest,
        manifest_json,
    }))
}

const HOST_ARCHITECTURE: Architecture = if cfg!(target_arch = "aarch64") {
    Architecture::Aarch64
} else {
    Architecture::X86_64
};

fn check(manifest: &Manifest) -> Result<()> {
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
    if manifest.target != target {
        return Err(Error::unsupported(format!(
            "was built for {}, this host runs on {target}; build it for this machine",
            manifest.target
        )));
    }
    Ok(())
}
