//! What the config says about DICOM objects, and the key that pseudonyms follow from.

use std::{
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use medfocus_dicom::{Identity, Key, archive::Speaking};
use medfocus_plugin_api::{Error, Result, file};
use serde::{Deserialize, Serialize};
use tempfile::Builder;

use crate::{
    output::{OutDir, failed},
    plugin::folders,
};

/// How DICOM objects are written and sent.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Whether they name the patient and lie in the film's study. Otherwise pseudonyms, moved dates and identifiers of their
    /// own take the places of the film's.
    pub identified: bool,
    /// File with the secret that pseudonyms follow from, sixteen bytes or more; `dicom.key` in the user's data folder, made
    /// when first needed, if nothing.
    pub key_file: Option<PathBuf>,
    /// What this program is called in the network.
    pub ae_title: String,
    /// How long to wait for an archive, in seconds.
    pub seconds: u64,
    /// File with the certificates (PEM) of those who may vouch for an archive; the usual ones if nothing.
    pub ca_file: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            identified: false,
            key_file: None,
            ae_title: "MEDFOCUS".to_owned(),
            seconds: 60,
            ca_file: None,
        }
    }
}

/// A shorter secret is guessed.
const LEAST: usize = 16;
/// Bytes of a secret that is made.
const MADE: usize = 32;

impl Settings {
    /// Who the objects say that the patient is.
    ///
    /// # Errors
    ///
    /// The key cannot be read or made, or is too short.
    pub fn identity(&self) -> Result<Identity> {
        if self.identified {
            return Ok(Identity::Kept);
        }
        let secret = match &self.key_file {
            Some(path) => read(path)?,
            None => own(&folders::data().ok_or_else(|| {
                Error::missing("there is no place for the secret that DICOM pseudonyms follow from")
                    .with_hint("set `dicom.key_file`, or HOME")
            })?)?,
        };
        if secret.len() < LEAST {
            return Err(Error::invalid(format!(
                "the secret that DICOM pseudonyms follow from has {} bytes, less than {LEAST}",
                secret.len()
            ))
            .with_hint("set `dicom.key_file` to a file of random bytes"));
        }
        Ok(Identity::Replaced(Key::new(&secret)))
    }

    /// How to speak to an archive.
    ///
    /// # Errors
    ///
    /// The certificates cannot be read.
    pub fn speaking(&self) -> Result<Speaking> {
        let authorities = self.ca_file.as_ref().map(|path| {
            file::read(path).map_err(|error| {
                Error::missing(format!(
                    "the certificates in {} cannot be read: {error}",
                    path.display()
                ))
            })
        });
        Ok(Speaking {
            title: self.ae_title.clone(),
            patience: Duration::from_secs(self.seconds),
            authorities: authorities.transpose()?,
        })
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    file::read(path).map_err(|error| {
        Error::missing(format!(
            "the secret that DICOM pseudonyms follow from, {}, cannot be read: {error}",
            path.display()
        ))
    })
}

/// The user's own secret; the first who asks makes it, for the user's eyes only.
fn own(folder: &Path) -> Result<Vec<u8>> {
    let path = folder.join("dicom.key");
    if !path.exists() {
        OutDir::create(folder)?;
        make(folder, &path)?;
    }
    read(&path)
}

fn make(folder: &Path, path: &Path) -> Result<()> {
    let failed = |error| failed("write", path, &error);
    let mut secret = [0; MADE];
    getrandom::fill(&mut secret)
        .map_err(|error| Error::internal(format!("the system gives no random numbers: {error}")))?;
    // Only the user may read such a file.
    let mut new = Builder::new()
        .prefix(".writing-")
        .tempfile_in(folder)
        .map_err(failed)?;
    new.write_all(&secret).map_err(failed)?;
    new.as_file().sync_all().map_err(failed)?;
    match new.persist_noclobber(path) {
        Ok(_) => Ok(()),
        // Another process was faster: its secret counts.
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(failed(error.error)),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn a_secret_is_made_once_for_the_user_alone() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data/medfocus");
        let secret = own(&data).unwrap();
        assert_eq!(secret.len(), MADE);
        assert_eq!(own(&data).unwrap(), secret);
        let mode = fs::metadata(data.join("dicom.key")).unwrap().permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
        // Whoever comes second takes what is there.
        make(&data, &data.join("dicom.key")).unwrap();
        assert_eq!(own(&data).unwrap(), secret);
    }

    #[test]
    fn a_short_secret_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), b"short").unwrap();
        let settings = Settings {
            key_file: Some(file.path().to_owned()),
            ..Settings::default()
        };
        let refused = settings.identity().unwrap_err().to_string();
        assert!(refused.contains("5 bytes"), "{refused}");
        let missing = Settings {
            key_file: Some("no/such/file".into()),
            ..Settings::default()
        };
        assert!(
            missing
                .identity()
                .unwrap_err()
                .to_string()
                .contains("no/such/file")
        );
    }
}
