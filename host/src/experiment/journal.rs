//! A file that only grows, one JSON value a line: what is in it survives a kill, a crash and a full disk.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read, Seek, SeekFrom, Write},
    marker::PhantomData,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use medfocus_plugin_api::{Error, Result};
use serde::{Serialize, de::DeserializeOwned};

use crate::output::failed;

/// A journal that this process alone appends to.
pub struct Journal<T> {
    path: PathBuf,
    file: Mutex<File>,
    kind: PhantomData<fn(T) -> T>,
}

impl<T: Serialize + DeserializeOwned> Journal<T> {
    /// Opens or begins a journal; returns what it holds.
    ///
    /// A last line that a kill cut short is removed: its work will be done again.
    ///
    /// # Errors
    ///
    /// Another process is writing to it, a whole line is not of this kind, or the disk fails.
    pub fn open(path: &Path) -> Result<(Self, Vec<T>)> {
        let failed = |error: std::io::Error| failed("open", path, &error);
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)
            .map_err(failed)?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => {
                Error::invalid(format!("another process is writing to {}", path.display()))
                    .with_hint("wait for it, or choose another folder for the results")
            }
            TryLockError::Error(error) => failed(error),
        })?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(failed)?;
        let whole = whole_lines(&bytes);
        if whole.len() < bytes.len() {
            tracing::warn!(journal = %path.display(), "the last line was cut short and is removed");
            file.set_len(whole.len() as u64).map_err(failed)?;
        }
        let records = parse(path, whole)?;
        let journal = Self {
            path: path.to_owned(),
            file: Mutex::new(file),
            kind: PhantomData,
        };
        Ok((journal, records))
    }

    /// Adds a line and brings it to the disk.
    ///
    /// # Errors
    ///
    /// The disk fails; then the journal is as it was before.
    pub fn append(&self, record: &T) -> Result<()> {
        let mut line = serde_json::to_vec(record)
            .map_err(|error| Error::internal(format!("a record is not JSON: {error}")))?;
        line.push(b'\n');
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let before = file
            .seek(SeekFrom::End(0))
            .map_err(|error| failed("write", &self.path, &error))?;
        let written = file.write_all(&line).and_then(|()| file.sync_data());
        written.map_err(|error| {
            if let Err(error) = file.set_len(before) {
                tracing::warn!("the journal's last line may be cut short: {error}");
            }
            failed("write", &self.path, &error)
        })
    }
}

/// What a journal holds; nothing if it is not there. A last line that is cut short is left out.
///
/// # Errors
///
/// A whole line is not of this kind, or the disk fails.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    match std::fs::read(path) {
        Ok(bytes) => parse(path, whole_lines(&bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(failed("read", path, &error)),
    }
}

fn whole_lines(bytes: &[u8]) -> &[u8] {
    let end = bytes
        .iter()
        .rposition(|&b| b == b'\n')
        .map_or(0, |at| at + 1);
    &bytes[..end]
}

fn parse<T: DeserializeOwned>(path: &Path, lines: &[u8]) -> Result<Vec<T>> {
    let lines = lines.split(|&b| b == b'\n').filter(|line| !line.is_empty());
    lines
        .enumerate()
        .map(|(number, line)| {
            serde_json::from_slice(line).map_err(|error| {
                Error::invalid(format!(
                    "line {} of {} cannot be read: {error}",
                    number + 1,
                    path.display()
                ))
                .with_hint("delete that line to do its work again")
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &Path) -> (Journal<Vec<u32>>, Vec<Vec<u32>>) {
        Journal::open(path).unwrap()
    }

    #[test]
    fn what_was_appended_is_there_after_any_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let records = [vec![1, 2], vec![], vec![3]];
        {
            let (journal, held) = open(&path);
            assert!(held.is_empty());
            records
                .iter()
                .for_each(|record| journal.append(record).unwrap());
        }
        let bytes = std::fs::read(&path).unwrap();
        for cut in 0..=bytes.len() {
            std::fs::write(&path, &bytes[..cut]).unwrap();
            let whole = bytes[..cut].iter().filter(|&&b| b == b'\n').count();
            assert_eq!(read::<Vec<u32>>(&path).unwrap(), records[..whole]);
            let (journal, held) = open(&path);
            assert_eq!(held, records[..whole]);
            journal.append(&vec![9]).unwrap();
            drop(journal);
            let held = open(&path).1;
            assert_eq!(held[..whole], records[..whole]);
            assert_eq!(held[whole..], [vec![9]]);
        }
    }

    #[test]
    fn two_processes_never_write_to_one_journal() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let first = open(&path);
        let error = Journal::<Vec<u32>>::open(&path).err().unwrap();
        assert!(error.to_string().contains("another process"), "{error}");
        drop(first);
        open(&path);
    }

    #[test]
    fn a_foreign_line_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        std::fs::write(&path, "[1]\n{\"a\": 1}\n").unwrap();
        let error = Journal::<Vec<u32>>::open(&path).err().unwrap().to_string();
        assert!(error.contains("line 2 of"), "{error}");
    }

    #[test]
    fn a_full_disk_is_a_sentence() {
        let path = PathBuf::from("/dev/full");
        let journal = Journal::<Vec<u32>> {
            file: Mutex::new(OpenOptions::new().append(true).open(&path).unwrap()),
            path,
            kind: PhantomData,
        };
        let error = journal.append(&vec![1]).unwrap_err().to_string();
        assert!(error.contains("free some space"), "{error}");
    }
}
