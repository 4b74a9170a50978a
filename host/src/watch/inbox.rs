//! A folder that films come into.

use std::{
    collections::BTreeMap,
    fs::{self, Metadata},
    path::{Path, PathBuf},
    time::SystemTime,
};

use medfocus_plugin_api::Result;

use crate::output::failed;

/// Folders within folders that are looked into.
const DEPTH: usize = 8;

/// The files of a folder, and of those in it, that somebody else writes.
#[derive(Debug)]
pub struct Inbox {
    folder: PathBuf,
    /// What was there at the last look, and whether it was given out.
    known: BTreeMap<PathBuf, (Seen, bool)>,
}

/// What changes while a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    bytes: u64,
    changed: Option<SystemTime>,
}

impl Inbox {
    /// The inbox in a folder.
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            known: BTreeMap::new(),
        }
    }

    /// Looks again: the files that did not change since the last look and were not given out as they are, in the order of
    /// their paths. Hidden files, links and empty files are none.
    ///
    /// # Errors
    ///
    /// The folder cannot be read; whatever is in it may vanish at any time.
    pub fn look(&mut self) -> Result<Vec<PathBuf>> {
        let entries = self.folder.read_dir();
        entries.map_err(|error| failed("read", &self.folder, &error))?;
        let mut found = BTreeMap::new();
        walk(&self.folder, DEPTH, &mut found);
        let mut whole = Vec::new();
        for (path, seen) in found.iter_mut() {
            let (now, given) = seen;
            if let Some((before, given_before)) = self.known.get(path)
                && before == now
            {
                if !given_before {
                    whole.push(path.clone());
                }
                *given = true;
            }
        }
        self.known = found;
        Ok(whole)
    }

    /// Whether a file is there that was not given out yet.
    pub fn expects(&self) -> bool {
        self.known.values().any(|(_, given)| !given)
    }
}

fn walk(folder: &Path, depth: usize, found: &mut BTreeMap<PathBuf, (Seen, bool)>) {
    let entries = folder.read_dir().into_iter().flatten().flatten();
    for entry in entries {
        let path = entry.path();
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        let Ok(about) = fs::symlink_metadata(&path) else {
            continue;
        };
        if hidden {
            continue;
        }
        if about.is_dir() && depth > 0 {
            walk(&path, depth - 1, found);
        } else if about.is_file() && about.len() > 0 {
            found.insert(path, (Seen::of(&about), false));
        }
    }
}

impl Seen {
    fn of(about: &Metadata) -> Self {
        Self {
            bytes: about.len(),
            changed: about.modified().ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_given_out_once_it_no_longer_grows() {
        let folder = tempfile::tempdir().unwrap();
        let mut inbox = Inbox::new(folder.path());
        let film = folder.path().join("study/film.dcm");
        fs::create_dir(folder.path().join("study")).unwrap();
        fs::write(&film, "half").unwrap();
        assert!(inbox.look().unwrap().is_empty() && inbox.expects());
        fs::write(&film, "half and half").unwrap();
        assert!(inbox.look().unwrap().is_empty());
        assert_eq!(inbox.look().unwrap(), std::slice::from_ref(&film));
        assert!(inbox.look().unwrap().is_empty() && !inbox.expects());
        // Another film under the same name.
        fs::write(&film, "something else").unwrap();
        assert!(inbox.look().unwrap().is_empty());
        assert_eq!(inbox.look().unwrap(), [film]);
    }

    #[test]
    fn hidden_empty_and_linked_files_are_none() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at(".film.dcm.part"), "part").unwrap();
        fs::write(at("empty.dcm"), "").unwrap();
        std::os::unix::fs::symlink("/etc/hostname", at("link.dcm")).unwrap();
        let mut inbox = Inbox::new(folder.path());
        inbox.look().unwrap();
        assert!(inbox.look().unwrap().is_empty());
        assert!(Inbox::new(&at("nowhere")).look().is_err());
    }
}
