//! Digest of all that decides a model's answers, kept for files that stay as they are.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use medfocus_plugin_api::file;
use medfocus_torch::identity::Identity;

use crate::{Error, Result};

/// Bytes of a file that are hashed at a time.
const HASHED: usize = 16 << 20;

/// What decides an answer besides a checkpoint's files.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances {
    /// Number format, as `f32`.
    pub format: &'static str,
    /// Kind of device, as `cpu`.
    pub device: &'static str,
    /// Layers that are noise, and its seed.
    pub noise: Option<(i64, u64)>,
}

/// Digest of the files of a checkpoint that decide an answer, and of the circumstances. It is remembered in the user's cache
/// (`$XDG_CACHE_HOME/medfocus/digests`, or below `~/.cache`) by the identity of the files, so that a second start
/// need not read them for it.
pub fn digest(folder: &Path, how: Circumstances) -> Result<String> {
    remembered(cache().as_deref(), folder, how)
}

fn remembered(cache: Option<&Path>, folder: &Path, how: Circumstances) -> Result<String> {
    let files = files(folder)?;
    let entry = cache.and_then(|cache| Some(cache.join(key(&files, how)?)));
    if let Some(known) = entry.as_deref().and_then(read) {
        return Ok(known);
    }
    let digest = computed(&files, how)?;
    if let Some(Err(error)) = entry.map(|entry| write(&entry, &digest)) {
        let folder = folder.display();
        tracing::debug!("the digest of {folder} is not remembered: {error}");
    }
    Ok(digest)
}

/// Where digests are remembered, if the user has a home.
fn cache() -> Option<PathBuf> {
    let named = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let caches = named("XDG_CACHE_HOME").map(PathBuf::from);
    let caches = caches.or_else(|| Some(PathBuf::from(named("HOME")?).join(".cache")));
    Some(caches?.join("medfocus/digests"))
}

/// A digest that is remembered, unless it is none.
fn read(entry: &Path) -> Option<String> {
    let text = fs::read_to_string(entry).ok()?;
    blake3::Hash::from_hex(&text).ok()?;
    Some(text)
}

/// Remembers a digest: whoever reads it meanwhile finds all of it or nothing.
fn write(entry: &Path, digest: &str) -> io::Result<()> {
    let folder = entry.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(digest.as_bytes())?;
    file.persist(entry)?;
    Ok(())
}

/// The files of a folder that decide an answer, by their names.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| Error::unreadable(folder, error))? {
        let path = entry
            .map_err(|error| Error::unreadable(folder, error))?
            .path();
        let read = path.extension().is_some_and(|end| {
            ["json", "jinja", "safetensors"]
                .iter()
                .any(|known| end == *known)
        });
        if read && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The name under which the digest of files is remembered as long as they are the same; nothing if they may change unseen.
fn key(files: &[PathBuf], how: Circumstances) -> Option<String> {
    let mut hasher = blake3::Hasher::new();
    for path in files {
        let identity = Identity::of(path).ok().filter(Identity::is_settled)?;
        let name = path.file_name().unwrap_or_default();
        hasher.update(format!("{name:?} {identity:?};").as_bytes());
    }
    hasher.update(format!("{how:?}").as_bytes());
    Some(hasher.finalize().to_hex().to_string())
}

fn computed(files: &[PathBuf], how: Circumstances) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(how.format.as_bytes());
    hasher.update(how.device.as_bytes());
    for path in files {
        hasher.update(path.file_name().unwrap_or_default().as_encoded_bytes());
        hash(&mut hasher, path).map_err(|error| Error::unreadable(path, error))?;
    }
    if let Some((layers, seed)) = how.noise {
        hasher.update(b"randomise");
        hasher.update(&layers.to_le_bytes());
        hasher.update(&seed.to_le_bytes());
    }
    Ok(hasher.finalize().to_hex().to_string())
}

/// Hashes a file on all cores. Not through a map, which would stand in memory beside the weights.
fn hash(hasher: &mut blake3::Hasher, path: &Path) -> io::Result<()> {
    let mut file = file::open(path)?;
    let mut bytes = Vec::with_capacity(HASHED);
    while Read::by_ref(&mut file)
        .take(HASHED as u64)
        .read_to_end(&mut bytes)?
        > 0
    {
        hasher.update_rayon(&bytes);
        bytes.clear();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const HOW: Circumstances = Circumstances {
        format: "f32",
        device: "cpu",
        noise: None,
    };

    #[test]
    fn a_digest_is_remembered_of_the_same_files_alone() {
        let (folder, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let weights = folder.path().join("model.safetensors");
        fs::write(&weights, "weights").unwrap();
        fs::write(folder.path().join("notes.txt"), "no part of it").unwrap();
        let known = |how| remembered(Some(cache.path()), folder.path(), how).unwrap();
        let entries = || fs::read_dir(cache.path()).unwrap().count();
        let first = known(HOW);
        assert_eq!(entries(), 0, "they were written just now");
        std::thread::sleep(Duration::from_secs(4));
        assert_eq!(known(HOW), first);
        assert_eq!(entries(), 1);

        // What is remembered is taken at its word, if it is a digest.
        let entry = fs::read_dir(cache.path()).unwrap().next().unwrap().unwrap();
        let other = blake3::hash(b"other").to_hex().to_string();
        fs::write(entry.path(), &other).unwrap();
        assert_eq!(known(HOW), other);
        for broken in ["", "half a dig"] {
            fs::write(entry.path(), broken).unwrap();
            assert_eq!(known(HOW), first, "{broken}");
        }

        let noise = Some((1, 0));
        assert_ne!(known(Circumstances { noise, ..HOW }), first);
        assert_ne!(
            known(Circumstances {
                format: "bf16",
                ..HOW
            }),
            first
        );
        fs::write(&weights, "WEIGHTS").unwrap();
        assert_ne!(known(HOW), first, "as long, but another file");
        assert_eq!(remembered(None, folder.path(), HOW).unwrap(), known(HOW));
    }

    #[test]
    fn a_cache_that_cannot_be_written_is_no_obstacle() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.json");
        fs::write(&file, "{}").unwrap();
        std::thread::sleep(Duration::from_secs(4));
        let digest = remembered(Some(&file), folder.path(), HOW).unwrap();
        assert_eq!(digest, remembered(None, folder.path(), HOW).unwrap());
    }
}
