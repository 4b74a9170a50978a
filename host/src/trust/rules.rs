//! What one trust file says, and whom it lets pass.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::{Path, PathBuf},
};

use medfocus_plugin_api::{Error, Result};
use serde::{Deserialize, Serialize};

use super::{
    digest::Digest,
    keys::{Keys, SUFFIX, Signature, Unsigned},
};

/// What is needed to pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Nothing.
    Open,
    /// A listed digest.
    Pinned,
    /// A signature by a listed key, or a listed digest.
    Signed,
}

/// The content of a trust file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    mode: Mode,
    #[serde(default)]
    digests: BTreeSet<Digest>,
    /// Where libtorch must be.
    #[serde(default)]
    pub libtorch: Option<PathBuf>,
    #[serde(default)]
    keys: Keys,
    #[serde(default)]
    revoked: Revoked,
}

/// What passes nowhere, whatever else is said of it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Revoked {
    digests: BTreeSet<Digest>,
    keys: Keys,
}

/// What asks to pass.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// Its file; a signature lies beside it.
    pub path: &'a Path,
    /// What the file holds.
    pub bytes: &'a [u8],
    /// Digest of all that will be used.
    pub digest: &'a str,
    /// Something that will be used and that a signature of `bytes` does not speak for.
    pub beyond: Option<&'a str>,
}

/// Who vouches for what may pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Voucher {
    /// Nobody: everything may pass.
    Nobody,
    /// Its digest is listed.
    Pin,
    /// The key of this name signed it.
    Key(String),
}

impl fmt::Display for Voucher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nobody => f.write_str("trusted by nobody"),
            Self::Pin => f.write_str("pinned"),
            Self::Key(name) => write!(f, "signed by `{name}`"),
        }
    }
}

impl Rules {
    /// A signature by this key is asked for.
    ///
    /// # Errors
    ///
    /// It is no public key of minisign.
    pub fn one_key(key: &str) -> Result<Self> {
        let keys = [("--key".to_owned(), key.to_owned())];
        Ok(Self {
            mode: Mode::Signed,
            digests: BTreeSet::new(),
            libtorch: None,
            keys: Keys::try_from(BTreeMap::from(keys)).map_err(Error::invalid)?,
            revoked: Revoked::default(),
        })
    }

    /// Who vouches for what asks; `source` is where these rules stand.
    ///
    /// # Errors
    ///
    /// It may not pass; the sentence lacks its subject.
    pub fn admit(
        &self,
        candidate: &Candidate<'_>,
        signature: Option<&Signature>,
        source: &str,
    ) -> Result<Voucher> {
        let Candidate { bytes, digest, .. } = *candidate;
        let listed = |digests: &BTreeSet<Digest>| digests.iter().any(|one| one.as_str() == digest);
        if listed(&self.revoked.digests) {
            return Err(Error::invalid(format!(
                "has digest {digest}, which {source} revokes"
            )));
        }
        if let Some(signature) = signature
            && let Ok(name) = self.revoked.keys.signer(bytes, signature)
        {
            return Err(Error::invalid(format!(
                "is signed by `{name}`, a key that {source} revokes"
            )));
        }
        if listed(&self.digests) {
            return Ok(Voucher::Pin);
        }
        match self.mode {
            Mode::Open => Ok(self
                .signer(candidate, signature, source)
                .unwrap_or(Voucher::Nobody)),
            Mode::Signed => self.signer(candidate, signature, source),
            Mode::Pinned => Err(
                Error::invalid(format!("is not listed in {source}")).with_hint(format!(
                    "to allow it, let `digests` there hold \"{digest}\""
                )),
            ),
        }
    }

    /// The key that signed all that will be used.
    fn signer(
        &self,
        candidate: &Candidate<'_>,
        signature: Option<&Signature>,
        source: &str,
    ) -> Result<Voucher> {
        let Some(signature) = signature else {
            let path = candidate.path.display();
            return Err(
                Error::invalid(format!("is not signed, which {source} asks for"))
                    .with_hint(format!("put its signature beside it, as {path}{SUFFIX}")),
            );
        };
        let sign_again =
            |why: String| Error::invalid(why).with_hint("restore it, or sign it again");
        let signer = self.keys.signer(candidate.bytes, signature);
        let name = signer.map_err(|unsigned| match unsigned {
            Unsigned::Stranger => {
                Error::invalid(format!("is signed by a key that {source} does not list"))
            }
            Unsigned::Old => sign_again("has a signature of the old kind (`minisign -l`)".into()),
            Unsigned::Altered(name) => sign_again(format!(
                "is not what `{name}` signed: the file or its signature was changed"
            )),
        })?;
        match candidate.beyond {
            None => Ok(Voucher::Key(name.to_owned())),
            Some(file) => Err(sign_again(format!(
                "is signed, but not with {file} as it is: its descriptor names another sha256, or none"
            ))),
        }
    }
}

impl fmt::Display for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (keys, digests) = (self.keys.len(), self.digests.len());
        let revoked = self.revoked.keys.len() + self.revoked.digests.len();
        let mode = match self.mode {
            Mode::Open => "open",
            Mode::Pinned => "pinned",
            Mode::Signed => "signed",
        };
        write!(
            f,
            "{mode} (keys: {keys}, digests: {digests}, revoked: {revoked})"
        )
    }
}
