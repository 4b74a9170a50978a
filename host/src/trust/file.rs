//! A trust file on the disk: it must not be for anyone to change.

use std::{
    fs::Metadata,
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::Path,
};

use figment::{
    Figment,
    providers::{Format, Toml},
};
use medfocus_plugin_api::{Error, Result, file};

use super::rules::Rules;
use crate::config::sentence::words;

/// What one file says.
#[derive(Clone, Debug)]
pub struct TrustFile {
    /// Where it is.
    pub name: String,
    /// What it says.
    pub rules: Rules,
}

/// Who may own a file; nobody else may write to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Root, and the file's folder, too.
    Root,
    /// Root or whoever runs the program.
    RootOrUser,
}

impl TrustFile {
    /// Reads a file, unless nothing is there.
    ///
    /// # Errors
    ///
    /// Those of [`TrustFile::read`]; also if it cannot be known whether something is there.
    pub fn if_there(path: &Path, owner: Owner) -> Result<Option<Self>> {
        match path.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            _ => Self::read(path, owner).map(Some),
        }
    }

    /// Reads a file.
    ///
    /// # Errors
    ///
    /// It cannot be read or understood, or others may change it.
    pub fn read(path: &Path, owner: Owner) -> Result<Self> {
        let name = path.display().to_string();
        let refuse = |why: String| Error::invalid(format!("trust file {name} {why}"));
        let unreadable = |error: io::Error| refuse(format!("cannot be read: {error}"));
        let mut file = file::open(path).map_err(unreadable)?;
        let mut safe = owner.alone_writes(&file.metadata().map_err(unreadable)?);
        if owner == Owner::Root {
            let folder = path.canonicalize().map_err(unreadable)?;
            let folder = folder.parent().unwrap_or(Path::new("/"));
            safe &= owner.alone_writes(&folder.metadata().map_err(unreadable)?);
        }
        if !safe {
            let (who, advice) = match owner {
                Owner::Root => ("root", "`chown root` and `chmod go-w` it and its folder"),
                Owner::RootOrUser => ("you and root", "`chown` it to you and `chmod go-w` it"),
            };
            let error = refuse(format!("may be changed by others than {who}"));
            return Err(error.with_hint(advice));
        }
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(unreadable)?;
        let rules = Figment::from(Toml::string(&text)).extract();
        let rules =
            rules.map_err(|error| refuse(format!("is not understood: {}", words(&error))))?;
        Ok(Self { name, rules })
    }
}

impl Owner {
    fn alone_writes(self, file: &Metadata) -> bool {
        let user = rustix::process::geteuid().as_raw();
        let owned = file.uid() == 0 || (self == Self::RootOrUser && file.uid() == user);
        owned && file.mode() & 0o022 == 0
    }
}
