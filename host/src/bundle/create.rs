//! Writing a kit.

use std::{
    io::{self, Read, Write},
    path::Path,
};

use medfocus_plugin_api::{Error, Result, file, manifest::TARGET};
use tar::{Builder, EntryType, Header};

use super::{
    manifest::{Checked, Entry, MANIFEST, Manifest},
    sbom,
    sources::{PROGRAM, Source, Sources},
};
use crate::output::{OutDir, failed};

/// The software bill of materials, in CycloneDX.
const SBOM: &str = "sbom.cdx.json";

/// Writes `NAME.tar` into a folder, and beside it its manifest, `NAME.json`, to be signed. The same files make the same bytes.
///
/// # Errors
///
/// A file cannot be read or changes meanwhile, or the disk fails.
pub fn create(mut sources: Sources, folder: &OutDir, name: &str) -> Result<Manifest> {
    let bill = json(&sbom::of(&sources)?)?;
    sources.files.insert(SBOM.to_owned(), Source::Bytes(bill));
    let mut files = Vec::with_capacity(sources.files.len());
    for (path, source) in &sources.files {
        let executable = path == PROGRAM;
        let entry = source
            .open()
            .and_then(|mut content| Entry::of(path.clone(), executable, &mut content));
        files.push(entry.map_err(|error| failed("read", source.place(path), &error))?);
    }
    let manifest = Manifest::new(TARGET.concat(), sources.libtorch.clone(), files);
    let text = json(&manifest)?;
    folder.write(&format!("{name}.tar"), |out| {
        write(out, &text, &manifest, &sources)
    })?;
    folder.write(&format!("{name}.json"), |out| out.write_all(&text))?;
    Ok(manifest)
}

fn json(value: &impl serde::Serialize) -> Result<Vec<u8>> {
    let mut text =
        serde_json::to_vec_pretty(value).map_err(|error| Error::internal(error.to_string()))?;
    text.push(b'\n');
    Ok(text)
}

fn write(
    out: &mut dyn Write,
    text: &[u8],
    manifest: &Manifest,
    sources: &Sources,
) -> io::Result<()> {
    let mut tar = Builder::new(out);
    append(&mut tar, MANIFEST, text.len() as u64, false, &mut &text[..])?;
    for entry in &manifest.files {
        let mut content = sources.files[&entry.path].open()?;
        let mut content = Checked::new(&mut content);
        // No more than was announced, even if the file grows.
        let mut part = Read::take(&mut content, entry.size);
        append(
            &mut tar,
            &entry.path,
            entry.size,
            entry.executable,
            &mut part,
        )?;
        if !content.is(entry) {
            return Err(io::Error::other(format!(
                "{} changed while it was read",
                entry.path
            )));
        }
    }
    tar.finish()
}

fn append(
    tar: &mut Builder<&mut dyn Write>,
    path: &str,
    size: u64,
    executable: bool,
    content: &mut dyn Read,
) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_size(size);
    header.set_mode(if executable { 0o755 } else { 0o644 });
    header.set_mtime(0);
    tar.append_data(&mut header, path, content)
}

impl Source {
    fn open(&self) -> io::Result<Box<dyn Read + '_>> {
        Ok(match self {
            Self::File(path) => Box::new(file::open(path)?) as Box<dyn Read>,
            Self::Bytes(bytes) => Box::new(bytes.as_slice()),
        })
    }

    fn place<'a>(&'a self, path: &'a str) -> &'a Path {
        match self {
            Self::File(place) => place,
            Self::Bytes(_) => Path::new(path),
        }
    }
}
