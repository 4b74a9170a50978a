//! A file's identity: while it stays the same, so does what the file holds.

use std::fs::{self, Metadata};
use std::io::Result;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Device and number of a file, its size, and when its content and its entry last changed, in seconds and nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// A file that changed later than this before it was looked at could change again without a sign: clocks of file systems tick
/// slowly.
const TICK: Duration = Duration::from_secs(3);

impl Identity {
    /// That of the file at a path now.
    ///
    /// # Errors
    ///
    /// There is no such file.
    pub fn of(path: &Path) -> Result<Self> {
        Ok(fs::metadata(path)?.into())
    }

    /// Whether any change from now on shows.
    pub fn is_settled(&self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.unwrap_or_default().as_secs() as i64;
        let last = self.modified.0.max(self.changed.0);
        now - last > TICK.as_secs() as i64
    }
}

impl From<Metadata> for Identity {
    fn from(metadata: Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_shows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let written = |text: &str| {
            fs::write(&path, text).unwrap();
            Identity::of(&path).unwrap()
        };
        let first = written("one");
        assert_eq!(Identity::of(&path).unwrap(), first);
        assert!(!first.is_settled(), "it was written just now");
        std::thread::sleep(Duration::from_millis(20));
        let second = written("two");
        assert_ne!(second, first);
        // What sets the time of the content back still changes that of the entry.
        let file = fs::File::options().write(true).open(&path).unwrap();
        let before = fs::metadata(&path).unwrap().modified().unwrap();
        std::thread::sleep(Duration::from_millis(20));
        fs::write(&path, "six").unwrap();
        file.set_modified(before).unwrap();
        assert_ne!(Identity::of(&path).unwrap(), second);
    }
}
