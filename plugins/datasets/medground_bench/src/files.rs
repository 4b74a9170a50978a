//! The published files.

use std::path::{Path, PathBuf};

use medfocus_medground::{Record, Split};
use medfocus_plugin_api::{Error, Result, file};

/// Records with the place of each, and the digest of the files.
pub struct Published {
    /// File and number of the record, and the record.
    pub records: Vec<(String, Record)>,
    /// Of the files' bytes.
    pub digest: blake3::Hash,
}

/// Reads one file, or a folder's files of both splits, of which one may be missing.
///
/// # Errors
///
/// [`Error::missing`] if nothing is there, [`Error::invalid`] naming the file and what is wrong in it.
pub fn read(path: &Path) -> Result<Published> {
    let mut published = Published {
        records: Vec::new(),
        digest: blake3::hash(b""),
    };
    let mut hasher = blake3::Hasher::new();
    for path in files(path)? {
        let unreadable = |error: std::io::Error| {
            Error::missing(format!("{} cannot be read: {error}", path.display()))
        };
        let bytes = file::read(&path).map_err(unreadable)?;
        file::check_pointer(&bytes).map_err(unreadable)?;
        hasher.update(blake3::hash(&bytes).as_bytes());
        let records = medfocus_medground::read(&bytes)
            .map_err(|error| error.context(path.display()))?
            .into_iter()
            .zip(1..);
        let name = path.file_name().unwrap_or(path.as_os_str());
        let place = |number: u64| format!("{}, record {number}", name.to_string_lossy());
        let placed = records.map(|(record, number)| (place(number), record));
        published.records.extend(placed);
    }
    published.digest = hasher.finalize();
    Ok(published)
}

fn files(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let names = Split::ALL.map(Split::file);
    let files: Vec<_> = names
        .iter()
        .map(|name| path.join(name))
        .filter(|file| file.exists())
        .collect();
    if files.is_empty() {
        return Err(Error::missing(format!(
            "folder {} holds neither {}",
            path.display(),
            names.join(" nor ")
        )));
    }
    Ok(files)
}
