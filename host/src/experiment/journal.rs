//! A file that only grows, one JSON value a line: what is in it survives a kill, a crash and a full disk.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{BufRead, BufReader, ErrorKind, Seek, SeekFrom, Write},
    marker::PhantomData,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use medfocus_plugin_api::{Error, Result};
use serde::{Serialize, de::DeserializeOwned};

use super::{owner::Owner, seal};
use crate::output::failed;

/// How a line holds a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// The JSON alone.
    Plain,
    /// The JSON behind a seal, so that a damaged line is noticed: journals of shards travel between machines.
    Sealed,
}

/// A journal that this process alone appends to.
pub struct Journal<T> {
    path: PathBuf,
    file: Mutex<File>,
    /// Of a sealed journal, the proof that it is this process's.
    owner: Option<Arc<Owner>>,
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
        let file = lock(path)?;
        let mut records = Vec::new();
        let whole = each(path, Form::Plain, |record, _| {
            records.push(record);
            Ok(())
        })?;
        cut(path, &file, whole)?;
        Ok((Self::over(path, file, None), records))
    }

    /// Opens or begins a sealed journal, of which the owner is sure without any lock.
    ///
    /// # Errors
    ///
    /// The disk fails.
    pub(super) fn owned(path: &Path, owner: Arc<Owner>) -> Result<Self> {
        let file = open(path)?;
        let whole = lines(path, |_, _| Ok(()))?;
        cut(path, &file, whole)?;
        Ok(Self::over(path, file, Some(owner)))
    }

    fn over(path: &Path, file: File, owner: Option<Arc<Owner>>) -> Self {
        Self {
            path: path.to_owned(),
            file: Mutex::new(file),
            owner,
            kind: PhantomData,
        }
    }

    /// Adds a line and brings it to the disk.
    ///
    /// # Errors
    ///
    /// The disk fails; then the journal is as it was before. Or another process has taken it over.
    pub fn append(&self, record: &T) -> Result<()> {
        let mut line = serde_json::to_vec(record)
            .map_err(|error| Error::internal(format!("a record is not JSON: {error}")))?;
        if let Some(owner) = &self.owner {
            owner.check()?;
            line = seal::sealed(&line);
        }
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
    let mut records = Vec::new();
    each(path, Form::Plain, |record, _| {
        records.push(record);
        Ok(())
    })?;
    Ok(records)
}

/// Takes what a journal holds one by one, each with where its JSON lies; returns the bytes of all whole lines.
///
/// # Errors
///
/// A whole line is not of this kind or damaged, the disk fails, or `take` does.
pub(super) fn each<T: DeserializeOwned>(
    path: &Path,
    form: Form,
    mut take: impl FnMut(T, Span) -> Result<()>,
) -> Result<u64> {
    let mut number = 0;
    lines(path, |line, span| {
        number += 1;
        let wrong = |why: String| {
            Error::invalid(format!("line {number} of {} {why}", path.display()))
                .with_hint("delete that line to do its work again")
        };
        let json = match form {
            Form::Plain => line,
            Form::Sealed => seal::opened(line).ok_or_else(|| wrong("is damaged".to_owned()))?,
        };
        let record = serde_json::from_slice(json)
            .map_err(|error| wrong(format!("cannot be read: {error}")))?;
        let length = json.len() as u32;
        let begin = span.begin + (line.len() - json.len()) as u64;
        take(record, Span { begin, length })
    })
}

/// A file that holds records of a phase.
#[derive(Clone, Debug)]
pub(super) struct Source {
    /// The file.
    pub path: PathBuf,
    /// How its lines hold them.
    pub form: Form,
}

impl Source {
    /// Takes its records one by one.
    pub fn each<T: DeserializeOwned>(&self, take: impl FnMut(T, Span) -> Result<()>) -> Result<()> {
        each(&self.path, self.form, take).map(|_| ())
    }
}

/// Where something lies in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// Bytes before it.
    pub begin: u64,
    /// Its bytes.
    pub length: u32,
}

/// Takes the whole lines of a file that are not empty; returns the bytes of all whole ones. A file that is not there has
/// none.
fn lines(path: &Path, mut take: impl FnMut(&[u8], Span) -> Result<()>) -> Result<u64> {
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
        file => file.map_err(|error| failed("read", path, &error))?,
    };
    let mut file = BufReader::with_capacity(1 << 16, file);
    let mut line = Vec::new();
    let mut whole = 0;
    loop {
        line.clear();
        let read = file
            .read_until(b'\n', &mut line)
            .map_err(|error| failed("read", path, &error))?;
        let Some(text) = line.strip_suffix(b"\n") else {
            return Ok(whole);
        };
        if !text.is_empty() {
            let length = text.len() as u32;
            take(
                text,
                Span {
                    begin: whole,
                    length,
                },
            )?;
        }
        whole += read as u64;
    }
}

/// A journal's file, which this process alone writes to as long as it is open.
///
/// # Errors
///
/// Another process is writing to it, or the disk fails.
pub(super) fn lock(path: &Path) -> Result<File> {
    let file = open(path)?;
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => {
            Error::invalid(format!("another process is writing to {}", path.display()))
                .with_hint("wait for it, or choose another folder for the results")
        }
        TryLockError::Error(error) => failed("open", path, &error),
    })?;
    Ok(file)
}

fn open(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    let options = options.read(true).append(true).create(true);
    options
        .open(path)
        .map_err(|error| failed("open", path, &error))
}

/// Removes a last line that is not whole.
fn cut(path: &Path, file: &File, whole: u64) -> Result<()> {
    let failed = |error: std::io::Error| failed("open", path, &error);
    if whole < file.metadata().map_err(failed)?.len() {
        tracing::warn!(journal = %path.display(), "the last line was cut short and is removed");
        file.set_len(whole).map_err(failed)?;
    }
    Ok(())
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
            owner: None,
            kind: PhantomData,
        };
        let error = journal.append(&vec![1]).unwrap_err().to_string();
        assert!(error.contains("free some space"), "{error}");
    }
}
