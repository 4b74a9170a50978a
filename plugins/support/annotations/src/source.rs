//! An annotation file: plain or compressed, and which one it was.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, BufRead as _, BufReader, Cursor, ErrorKind, Read},
    path::{Path, PathBuf},
};

use flate2::bufread::MultiGzDecoder;
use medfocus_plugin_api::{Error, Result, file};

/// More bytes than any annotation file has: no small archive inflates without end.
const MAX_BYTES: u64 = 1 << 32;

const GZIP: [u8; 2] = [0x1f, 0x8b];
const BYTE_ORDER_MARK: [u8; 3] = [0xef, 0xbb, 0xbf];

/// An open annotation file; reading it gives its text without byte order mark, inflated where it is gzip.
pub struct Source {
    name: String,
    text: Box<dyn Read>,
    hasher: blake3::Hasher,
    left: u64,
}

impl Source {
    /// Opens `path`, or else the compressed copy beside it, which has `.gz` behind its name.
    ///
    /// # Errors
    ///
    /// [`Error::missing`] naming the file if neither is there, [`Error::invalid`] if it cannot be read.
    pub fn open(path: &Path) -> Result<Self> {
        let (path, file) = open(path)?;
        let text = text(file).map_err(|error| unreadable(&path, &error))?;
        let name = path.file_name().unwrap_or(path.as_os_str());
        Ok(Self {
            name: name.to_string_lossy().into_owned(),
            text,
            hasher: blake3::Hasher::new(),
            left: MAX_BYTES,
        })
    }

    /// The file's name, for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Digest of the whole text, the same whether it was compressed or not.
    ///
    /// # Errors
    ///
    /// [`Error::invalid`] naming the file if its rest cannot be read.
    pub fn digest(mut self) -> Result<blake3::Hash> {
        io::copy(&mut self, &mut io::sink())
            .map_err(|error| unreadable(Path::new(&self.name), &error))?;
        Ok(self.hasher.finalize())
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.text.read(buffer)?;
        self.left = self.left.checked_sub(count as u64).ok_or_else(|| {
            let text = format!("it holds more than {} GiB", MAX_BYTES >> 30);
            io::Error::new(ErrorKind::InvalidData, text)
        })?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}

/// The folder that holds an archive, from a reader's parameter `path`; `what` is below it.
///
/// # Errors
///
/// [`Error::invalid`] if the parameter was left out.
pub fn folder(path: &str, what: &str) -> Result<PathBuf> {
    if path.is_empty() {
        return Err(Error::invalid("parameter `path` is missing")
            .with_key("path")
            .with_hint(format!("it names the folder that holds {what}")));
    }
    Ok(path.into())
}

fn open(path: &Path) -> Result<(PathBuf, File)> {
    let mut compressed = OsString::from(path);
    compressed.push(".gz");
    for path in [path, Path::new(&compressed)] {
        match file::open(path) {
            Ok(file) => return Ok((path.to_owned(), file)),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(unreadable(path, &error)),
        }
    }
    Err(Error::missing(format!("{} is missing", path.display()))
        .with_hint("put the archive's file there, as it is or compressed as .gz"))
}

fn text(file: File) -> io::Result<Box<dyn Read>> {
    let mut file = BufReader::new(file);
    let inflate = file.fill_buf()?.starts_with(&GZIP);
    let mut text: Box<dyn Read> = if inflate {
        Box::new(MultiGzDecoder::new(file))
    } else {
        Box::new(file)
    };
    let mut head = Vec::new();
    text.by_ref().take(64).read_to_end(&mut head)?;
    file::check_pointer(&head)?;
    if head.starts_with(&BYTE_ORDER_MARK) {
        head.drain(..BYTE_ORDER_MARK.len());
    }
    Ok(Box::new(Cursor::new(head).chain(text)))
}

fn unreadable(path: &Path, error: &io::Error) -> Error {
    Error::invalid(format!("{} cannot be read: {error}", path.display()))
}
