//! What a kit says that it holds.

use std::{
    collections::BTreeSet,
    io::{self, Read},
    path::{Component, Path},
};

use medfocus_plugin_api::{Error, Result};
use serde::{Deserialize, Serialize};

/// Its name in a kit, and in the folder that is made of one.
pub const MANIFEST: &str = "manifest.json";
/// The only format so far.
const FORMAT: u32 = 1;

/// Everything in a kit but the manifest itself, in this order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    format: u32,
    /// Version of the program.
    pub version: String,
    /// What it was built for.
    pub target: String,
    /// Version of libtorch, if it is there.
    pub libtorch: Option<String>,
    /// The files.
    pub files: Vec<Entry>,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Where it is in the kit; parts are joined by `/`.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Digest of its bytes, in hex.
    pub blake3: String,
    /// Whether it is a program.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub executable: bool,
}

impl Manifest {
    /// Of these files, built for the machines that this program was built for.
    pub fn new(target: String, libtorch: Option<String>, files: Vec<Entry>) -> Self {
        Self {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            target,
            libtorch,
            files,
        }
    }

    /// Reads a manifest.
    ///
    /// # Errors
    ///
    /// It is none, or names files that cannot be in a kit; the sentence lacks its subject.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let manifest: Self = serde_json::from_slice(bytes).map_err(|error| {
            Error::invalid(format!("has a manifest that cannot be read ({error})"))
        })?;
        if manifest.format != FORMAT {
            let format = manifest.format;
            return Err(Error::unsupported(format!(
                "is of format {format}, this program reads {FORMAT}"
            ))
            .with_hint("use the medfocus that lies in the kit"));
        }
        let mut seen = BTreeSet::new();
        for Entry { path, .. } in &manifest.files {
            check(path)?;
            if !seen.insert(path) {
                return Err(Error::invalid(format!("names {path} twice")));
            }
        }
        Ok(manifest)
    }
}

/// Refuses what is no plain path below the kit's own folder.
///
/// # Errors
///
/// The sentence lacks its subject.
pub fn check(path: &str) -> Result<()> {
    let mut parts = Path::new(path).components();
    let plain = parts.all(|part| matches!(part, Component::Normal(_)));
    let parts = path.split('/');
    let whole = parts.clone().all(|part| !part.is_empty() && part != ".");
    let own = path.starts_with(MANIFEST);
    if plain && whole && !own && !path.chars().any(char::is_control) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "names `{path}`, which no file in a kit can be called"
    )))
}

impl Entry {
    /// The entry of a file that is read to its end.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn of(path: String, executable: bool, content: &mut dyn Read) -> io::Result<Self> {
        let mut checked = Checked::new(content);
        io::copy(&mut checked, &mut io::sink())?;
        Ok(Self {
            path,
            size: checked.size,
            blake3: checked.hasher.finalize().to_hex().to_string(),
            executable,
        })
    }
}

/// What is read, and its digest so far.
pub struct Checked<'a> {
    content: &'a mut dyn Read,
    hasher: blake3::Hasher,
    size: u64,
}

impl<'a> Checked<'a> {
    /// From its beginning.
    pub fn new(content: &'a mut dyn Read) -> Self {
        Self {
            content,
            hasher: blake3::Hasher::new(),
            size: 0,
        }
    }

    /// Whether what was read is all of this file.
    pub fn is(&self, entry: &Entry) -> bool {
        let digest = self.hasher.finalize().to_hex();
        self.size == entry.size && digest.as_str() == entry.blake3
    }
}

impl Read for Checked<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.content.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        self.size += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_paths_are_in_a_kit() {
        for path in [
            "medfocus",
            "plugins/a.so",
            ".libtorch/torch/lib/b.so.1",
            "a b/ü",
        ] {
            check(path).unwrap();
        }
        for path in [
            "",
            "/etc/passwd",
            "../a",
            "a/../b",
            "a//b",
            "./a",
            "a/.",
            "a/",
            "a\nb",
            "manifest.json",
            "manifest.json.minisig",
            "..",
            "a/..",
        ] {
            let error = check(path).unwrap_err().to_string();
            assert!(error.contains("no file in a kit can be called"), "{error}");
        }
    }

    #[test]
    fn a_manifest_that_lies_is_refused() {
        let entry = r#"{"path": "a", "size": 1, "blake3": ""}"#;
        let text = |format: u32, files: &str| {
            format!(
                r#"{{"format": {format}, "version": "1", "target": "t", "libtorch": null, "files": [{files}]}}"#
            )
        };
        Manifest::parse(text(1, entry).as_bytes()).unwrap();
        for (text, words) in [
            (text(2, entry), "is of format 2"),
            (text(1, &format!("{entry}, {entry}")), "names a twice"),
            (text(1, &entry.replace("\"a\"", "\"../a\"")), "`../a`"),
            (text(1, &entry.replace("size", "length")), "length"),
            ("{".to_owned(), "cannot be read"),
        ] {
            let error = Manifest::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
