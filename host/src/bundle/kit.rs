//! Reading a kit, or a folder that was made of one.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, BufReader, Read, Seek},
    path::{Path, PathBuf},
};

use medfocus_plugin_api::{Error, Result, file};
use tar::Archive;

use super::manifest::{Checked, Entry, MANIFEST, Manifest};
use crate::trust::{Candidate, SUFFIX, Trust, Voucher};

/// Bytes of a manifest at most.
const MOST: u64 = 64 << 20;

/// A kit whose manifest may be trusted, and whose files are still to be looked at.
#[derive(Debug)]
pub struct Kit {
    place: Place,
    name: String,
    /// What it says that it holds.
    pub manifest: Manifest,
    /// The manifest as it was read.
    pub(super) bytes: Vec<u8>,
    /// Who vouches for it.
    pub voucher: Voucher,
    /// Where its signature would be.
    pub(super) signature: PathBuf,
}

#[derive(Debug)]
enum Place {
    Tar(File),
    Folder(PathBuf),
}

impl Kit {
    /// Reads the manifest. Its signature is `KIT.json.minisig` beside `KIT.tar`, in a folder `manifest.json.minisig`.
    ///
    /// # Errors
    ///
    /// It is no kit, or not one that may be used.
    pub fn open(path: &Path, trust: &Trust) -> Result<Self> {
        let name = path.display().to_string();
        let refuse = |error: Error| error.context(format!("kit {name}"));
        let unreadable = |error: io::Error| Error::invalid(format!("cannot be read: {error}"));
        let (place, bytes, json) = if path.is_dir() {
            let json = path.join(MANIFEST);
            let bytes = file::read(&json).map_err(|error| {
                refuse(Error::missing(format!(
                    "has no manifest that can be read: {error}"
                )))
            })?;
            (Place::Folder(path.to_owned()), bytes, json)
        } else {
            let mut file = file::open(path).map_err(unreadable).map_err(refuse)?;
            let bytes = first(&mut file).map_err(refuse)?;
            (Place::Tar(file), bytes, path.with_extension("json"))
        };
        let digest = format!("blake3:{}", blake3::hash(&bytes).to_hex());
        let candidate = Candidate {
            path: &json,
            bytes: &bytes,
            digest: &digest,
            beyond: None,
        };
        let voucher = trust.admit(&candidate).map_err(refuse)?;
        let mut signature = json.into_os_string();
        signature.push(SUFFIX);
        Ok(Self {
            place,
            manifest: Manifest::parse(&bytes).map_err(refuse)?,
            name,
            bytes,
            voucher,
            signature: signature.into(),
        })
    }

    /// Goes through all files, in the manifest's order; `visit` gets each before it is known whether it is the right one.
    ///
    /// # Errors
    ///
    /// Names the first that is missing, changed or not in the manifest, or is what `visit` fails with.
    pub fn files(self, mut visit: impl FnMut(&Entry, &mut dyn Read) -> Result<()>) -> Result<()> {
        let Self {
            place,
            manifest,
            name,
            ..
        } = self;
        let one = |entry: &Entry, content: &mut dyn Read| {
            let mut content = Checked::new(content);
            visit(entry, &mut content)?;
            match content.is(entry) {
                true => Ok(()),
                false => Err(Error::invalid(format!(
                    "{} was changed or cut short",
                    entry.path
                ))),
            }
        };
        let found = match place {
            Place::Tar(file) => of_tar(file, &manifest, one),
            Place::Folder(folder) => of_folder(&folder, &manifest, one),
        };
        found.map_err(|error| error.context(format!("kit {name}")))
    }
}

/// The manifest, which is the first file.
fn first(file: &mut File) -> Result<Vec<u8>> {
    let none =
        || Error::invalid("does not begin with a manifest, as `medfocus bundle create` writes it");
    let mut archive = Archive::new(file);
    let mut entries = archive.entries().map_err(|_| none())?;
    let entry = entries.next().and_then(io::Result::ok).ok_or_else(none)?;
    if *entry.path_bytes() != *MANIFEST.as_bytes() || entry.size() > MOST {
        return Err(none());
    }
    let mut bytes = Vec::new();
    entry
        .take(MOST)
        .read_to_end(&mut bytes)
        .map_err(|_| none())?;
    Ok(bytes)
}

fn of_tar(
    mut file: File,
    manifest: &Manifest,
    mut one: impl FnMut(&Entry, &mut dyn Read) -> Result<()>,
) -> Result<()> {
    let unreadable = |error: io::Error| Error::invalid(format!("cannot be read: {error}"));
    file.rewind().map_err(unreadable)?;
    let mut archive = Archive::new(BufReader::with_capacity(1 << 20, file));
    let mut expected = manifest.files.iter();
    // The first is the manifest, which was read already.
    for entry in archive.entries().map_err(unreadable)?.skip(1) {
        let mut entry = entry.map_err(unreadable)?;
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if !entry.header().entry_type().is_file() {
            return Err(Error::invalid(format!(
                "{path} is a link, a folder or a device, not a file"
            )));
        }
        match expected.next() {
            Some(next) if next.path == path => one(next, &mut entry)?,
            Some(next) if manifest.files.iter().any(|file| file.path == path) => {
                return Err(Error::missing(format!("{} is missing", next.path)));
            }
            _ => return Err(Error::invalid(format!("{path} is not in its manifest"))),
        }
    }
    match expected.next() {
        Some(entry) => Err(Error::missing(format!("{} is missing", entry.path))),
        None => Ok(()),
    }
}

fn of_folder(
    folder: &Path,
    manifest: &Manifest,
    mut one: impl FnMut(&Entry, &mut dyn Read) -> Result<()>,
) -> Result<()> {
    let unreadable =
        |path: &str, error: io::Error| Error::invalid(format!("{path} cannot be read: {error}"));
    for entry in &manifest.files {
        let place = folder.join(&entry.path);
        match place.symlink_metadata() {
            Ok(found) if found.is_file() => {}
            Ok(_) => {
                return Err(Error::invalid(format!(
                    "{} is a link, a folder or a device, not a file",
                    entry.path
                )));
            }
            Err(_) => return Err(Error::missing(format!("{} is missing", entry.path))),
        }
        let mut file = file::open(&place).map_err(|error| unreadable(&entry.path, error))?;
        one(entry, &mut file)?;
    }
    let mut known: BTreeSet<_> = manifest
        .files
        .iter()
        .map(|entry| folder.join(&entry.path))
        .collect();
    known
        .extend([MANIFEST.to_owned(), format!("{MANIFEST}{SUFFIX}")].map(|name| folder.join(name)));
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        let shown = |path: &Path| {
            path.strip_prefix(folder)
                .unwrap_or(path)
                .display()
                .to_string()
        };
        let entries = next
            .read_dir()
            .map_err(|error| unreadable(&shown(&next), error))?;
        for entry in entries {
            let path = entry
                .map_err(|error| unreadable(&shown(&next), error))?
                .path();
            if path.is_dir() && !path.is_symlink() {
                open.push(path);
            } else if !known.contains(&path) {
                return Err(Error::invalid(format!(
                    "{} is not in its manifest",
                    shown(&path)
                )));
            }
        }
    }
    Ok(())
}
