//! Entries whose digests hang together.
//!
//! A line is `{"digest":"...","entry":{...}}`; the digest covers the entry's bytes, which hold the digest of the line before. Beside
//! the log lies `FILE.head`: how many entries there are and the last one's digest, so that a log that was cut off is
//! noticed. Whoever may write both files, and has the key if there is one, can write another past: so keep a head elsewhere.

use std::{
    fmt,
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    str::FromStr,
};

use medfocus_plugin_api::{Error, Result, file};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::entry::Entry;
use crate::output::{OutDir, failed};

/// Bytes of a line at most.
const LINE: u64 = 1 << 16;
/// Bytes of a key at least.
const KEY: usize = 32;

/// The log and what is needed to go on with it.
pub struct Chain {
    path: PathBuf,
    key: Option<[u8; 32]>,
}

/// Where a log ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// How many entries there are.
    pub entries: u64,
    /// Digest of the last.
    pub digest: String,
}

#[derive(Serialize, Deserialize)]
struct Line<'a> {
    digest: String,
    #[serde(borrow)]
    entry: &'a RawValue,
}

impl Head {
    /// Of a log without entries.
    fn none() -> Self {
        Self {
            entries: 0,
            digest: String::new(),
        }
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.entries, self.digest)
    }
}

impl FromStr for Head {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let (entries, digest) = text.split_once(':').ok_or("it is ENTRIES:DIGEST")?;
        let entries = entries.parse().map_err(|_| "it begins with a number")?;
        Ok(Self {
            entries,
            digest: digest.to_owned(),
        })
    }
}

impl Chain {
    /// A log; its key is read now.
    ///
    /// # Errors
    ///
    /// The key cannot be read or is too short.
    pub fn new(path: &Path, key: Option<&Path>) -> Result<Self> {
        let key = key.map(|path| {
            let bytes = file::read(path).map_err(|error| failed("read", path, &error))?;
            if bytes.len() < KEY {
                let error = format!("{} holds fewer than {KEY} bytes", path.display());
                return Err(
                    Error::invalid(error).with_hint("`head -c 32 /dev/urandom` makes a key")
                );
            }
            Ok(blake3::derive_key("medfocus audit log, version 1", &bytes))
        });
        Ok(Self {
            path: path.to_owned(),
            key: key.transpose()?,
        })
    }

    /// Adds an entry, made from its number and the digest before.
    ///
    /// # Errors
    ///
    /// The disk fails, or the log does not end as its head says.
    pub fn append(&self, entry: impl FnOnce(u64, String) -> Entry) -> Result<()> {
        let failed = |error| failed("write the audit log", &self.path, &error);
        let mut log = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(&self.path)
            .map_err(failed)?;
        // Until the file is closed nobody else appends.
        log.lock().map_err(failed)?;
        let head = self.end(&mut log)?;
        let entry = entry(head.entries + 1, head.digest);
        let number = entry.number;
        let entry = serde_json::value::to_raw_value(&entry)
            .map_err(|error| Error::internal(format!("an entry is not JSON: {error}")))?;
        let digest = self.digest(&entry);
        let line = Line {
            digest: digest.clone(),
            entry: &entry,
        };
        let mut bytes = serde_json::to_vec(&line)
            .map_err(|error| Error::internal(format!("an entry is not JSON: {error}")))?;
        bytes.push(b'\n');
        log.write_all(&bytes)
            .and_then(|()| log.sync_data())
            .map_err(failed)?;
        self.keep(&Head {
            entries: number,
            digest,
        })
    }

    /// Reads the whole log.
    ///
    /// # Errors
    ///
    /// It cannot be read; an entry was altered, left out, added or cut off; it does not go through `known`, a head that was
    /// kept elsewhere.
    pub fn verify(&self, known: Option<&Head>, mut each: impl FnMut(&Entry)) -> Result<Head> {
        let log = File::open(&self.path).map_err(|error| failed("read", &self.path, &error))?;
        let (mut head, mut through) = (Head::none(), known.is_none_or(|known| known.entries == 0));
        let mut lines = BufReader::new(log);
        while let Some(line) = self.line(&mut lines)? {
            let (next, entry) = self.link(&head, &line)?;
            through |= known == Some(&next);
            head = next;
            each(&entry);
        }
        if !through {
            return Err(self.altered(format!(
                "does not go through {}",
                known.unwrap_or(&Head::none())
            )));
        }
        match self.kept()? {
            Some(kept) if kept != head => Err(self.altered(format!(
                "ends at {} entries, its head says {}",
                head.entries, kept.entries
            ))),
            None if head.entries > 0 => Err(self.altered("has no head beside it")),
            _ => Ok(head),
        }
    }

    /// Where the open log ends, by its last line and its head.
    fn end(&self, log: &mut File) -> Result<Head> {
        let failed = |error| failed("read", &self.path, &error);
        let length = log.metadata().map_err(failed)?.len();
        log.seek(SeekFrom::Start(length.saturating_sub(2 * LINE)))
            .map_err(failed)?;
        let mut tail = Vec::new();
        log.read_to_end(&mut tail).map_err(failed)?;
        // A kill may have cut the last line short; nobody was told that it is there.
        let whole = tail
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |at| at + 1);
        if whole < tail.len() {
            log.set_len(length - (tail.len() - whole) as u64)
                .map_err(failed)?;
        }
        let kept = self.kept()?;
        let mut lines = tail[..whole].split(|&byte| byte == b'\n').rev().skip(1);
        let Some(last) = lines.next() else {
            return match kept {
                Some(kept) => {
                    Err(self.altered(format!("is empty, its head says {} entries", kept.entries)))
                }
                None => Ok(Head::none()),
            };
        };
        let (line, entry) = self.parse(last)?;
        let end = Head {
            entries: entry.number,
            digest: line.digest,
        };
        // A kill may have come between the line and the head.
        let before = Head {
            entries: entry.number - 1,
            digest: entry.previous,
        };
        match kept.unwrap_or(Head::none()) {
            kept if kept == end || kept == before => Ok(end),
            kept => Err(self.altered(format!(
                "ends at entry {}, its head says {}",
                end.entries, kept.entries
            ))),
        }
    }

    /// The next line of a log, without its end.
    fn line(&self, lines: &mut impl BufRead) -> Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        lines
            .take(LINE)
            .read_until(b'\n', &mut line)
            .map_err(|error| failed("read", &self.path, &error))?;
        match line.pop() {
            Some(b'\n') => Ok(Some(line)),
            Some(_) => Err(self.altered("ends within a line")),
            None => Ok(None),
        }
    }

    /// The entry of a line that must come after `head`.
    fn link(&self, head: &Head, line: &[u8]) -> Result<(Head, Entry)> {
        let (line, entry) = self.parse(line)?;
        let number = head.entries + 1;
        if entry.number != number || entry.previous != head.digest {
            return Err(self.altered(format!("was altered before entry {number}")));
        }
        let next = Head {
            entries: number,
            digest: line.digest,
        };
        Ok((next, entry))
    }

    fn parse<'a>(&self, line: &'a [u8]) -> Result<(Line<'a>, Entry)> {
        let what = |error| self.altered(format!("holds a line that is no entry ({error})"));
        let line: Line<'_> = serde_json::from_slice(line).map_err(what)?;
        let entry: Entry = serde_json::from_str(line.entry.get()).map_err(what)?;
        if line.digest != self.digest(line.entry) || entry.number == 0 {
            return Err(self.altered(format!("was altered at entry {}", entry.number)));
        }
        Ok((line, entry))
    }

    fn digest(&self, entry: &RawValue) -> String {
        let bytes = entry.get().as_bytes();
        let hash = match &self.key {
            Some(key) => blake3::keyed_hash(key, bytes),
            None => blake3::hash(bytes),
        };
        hash.to_hex().to_string()
    }

    fn head_file(&self) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(".head");
        path.into()
    }

    /// The head beside the log.
    fn kept(&self) -> Result<Option<Head>> {
        let path = self.head_file();
        match file::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|_| self.altered("has a head that cannot be read")),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("read", &path, &error)),
        }
    }

    fn keep(&self, head: &Head) -> Result<()> {
        let path = self.head_file();
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| Error::invalid("the audit log's name is not UTF-8"))?;
        OutDir::create(folder.unwrap_or(Path::new(".")))?.json(name, head)?;
        Ok(())
    }

    fn altered(&self, what: impl fmt::Display) -> Error {
        Error::invalid(format!("the audit log {} {what}", self.path.display()))
            .with_hint("keep it for whoever investigates, and begin another")
    }
}
