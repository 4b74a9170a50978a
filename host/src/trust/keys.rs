//! Public keys of minisign, and what they signed.

use std::{
    collections::BTreeMap,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use medfocus_plugin_api::{Error, Result, file};
use minisign_verify::{Error as Wrong, PublicKey};
use serde::Deserialize;

/// What follows a file's name in that of its signature.
pub const SUFFIX: &str = ".minisig";

/// A detached signature.
pub struct Signature(minisign_verify::Signature);

impl Signature {
    /// That of a file: `FILE.minisig`, if there is one.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is none.
    pub fn beside(path: &Path) -> Result<Option<Self>> {
        let mut place = path.as_os_str().to_owned();
        place.push(SUFFIX);
        let place = PathBuf::from(place);
        let broken = |why: String| {
            let place = place.display();
            Error::invalid(format!(
                "has a signature that cannot be read ({place}: {why})"
            ))
            .with_hint("copy it again, or sign the file again")
        };
        match file::read_to_string(&place) {
            Ok(text) => minisign_verify::Signature::decode(&text)
                .map(|signature| Some(Self(signature)))
                .map_err(|error| broken(error.to_string())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(broken(error.to_string())),
        }
    }
}

/// Keys by the names that a trust file gives them.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(try_from = "BTreeMap<String, String>")]
pub struct Keys(BTreeMap<String, PublicKey>);

/// Why nobody signed something.
#[derive(Debug, PartialEq, Eq)]
pub enum Unsigned {
    /// The signature is of a key that is not here.
    Stranger,
    /// The signature is of the old kind, which is not of the file's hash.
    Old,
    /// The key is here, but signed something else.
    Altered(String),
}

impl Keys {
    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The name of the key with which these bytes were signed.
    ///
    /// # Errors
    ///
    /// None of them, or something else.
    pub fn signer(&self, bytes: &[u8], signature: &Signature) -> Result<&str, Unsigned> {
        for (name, key) in &self.0 {
            match key.verify(bytes, &signature.0, false) {
                Ok(()) => return Ok(name),
                Err(Wrong::UnexpectedKeyId) => {}
                Err(Wrong::UnexpectedAlgorithm) => return Err(Unsigned::Old),
                Err(_) => return Err(Unsigned::Altered(name.clone())),
            }
        }
        Err(Unsigned::Stranger)
    }
}

impl TryFrom<BTreeMap<String, String>> for Keys {
    type Error = String;

    fn try_from(texts: BTreeMap<String, String>) -> Result<Self, String> {
        let key = |(name, text): (String, String)| match PublicKey::from_base64(text.trim()) {
            Ok(key) => Ok((name, key)),
            Err(_) => Err(format!(
                "key `{name}` is no public key of minisign; write the last line of the .pub file"
            )),
        };
        Ok(Self(texts.into_iter().map(key).collect::<Result<_, _>>()?))
    }
}
