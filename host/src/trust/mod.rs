//! Who may be loaded: trust files, and the signatures that they ask for.
//!
//! Two files may say it: the machine's, `/etc/medfocus/trust.toml`, and one that the config names (`plugins.trust`). Whatever asks
//! must pass both, so the second can only be stricter.

mod digest;
mod file;
mod keys;
mod rules;

use std::{fmt, path::Path};

use medfocus_plugin_api::Result;

use self::{
    file::{Owner, TrustFile},
    keys::Signature,
    rules::Rules,
};
pub use self::{
    keys::SUFFIX,
    rules::{Candidate, Mode, Voucher},
};

/// The machine's own file.
pub const SYSTEM: &str = "/etc/medfocus/trust.toml";

/// All that is said of trust.
#[derive(Clone, Debug, Default)]
pub struct Trust(Vec<TrustFile>);

impl Trust {
    /// What the machine's file says, if there is one, and then the file that the config names.
    ///
    /// # Errors
    ///
    /// One cannot be read or understood, or may be changed by those who must not.
    pub fn load(named: Option<&Path>) -> Result<Self> {
        Self::of(Path::new(SYSTEM), named)
    }

    fn of(system: &Path, named: Option<&Path>) -> Result<Self> {
        let system = TrustFile::if_there(system, Owner::Root)?;
        let named = named.map(|path| TrustFile::read(path, Owner::RootOrUser));
        Ok(Self(system.into_iter().chain(named.transpose()?).collect()))
    }

    /// The same, and besides a signature by this key is asked for.
    ///
    /// # Errors
    ///
    /// It is no public key of minisign.
    pub fn and_key(mut self, key: &str) -> Result<Self> {
        self.0.push(TrustFile {
            name: "--key".to_owned(),
            rules: Rules::one_key(key)?,
        });
        Ok(self)
    }

    /// The folder of libtorch, where one of the files says it; the machine's comes first.
    pub fn libtorch(&self) -> Option<&Path> {
        let mut files = self.0.iter();
        files.find_map(|file| file.rules.libtorch.as_deref())
    }

    /// Whether everything may be loaded and nobody is named who could vouch for it.
    pub fn is_silent(&self) -> bool {
        self.0.is_empty()
    }

    /// Who vouches for what asks.
    ///
    /// # Errors
    ///
    /// One of the files does not allow it; the sentence lacks its subject.
    pub fn admit(&self, candidate: &Candidate<'_>) -> Result<Voucher> {
        if self.is_silent() {
            return Ok(Voucher::Nobody);
        }
        let signature = Signature::beside(candidate.path)?;
        let mut voucher = Voucher::Nobody;
        for file in &self.0 {
            let said = file
                .rules
                .admit(candidate, signature.as_ref(), &file.name)?;
            if voucher == Voucher::Nobody {
                voucher = said;
            }
        }
        Ok(voucher)
    }
}

/// The mode of each file, and where it is.
impl fmt::Display for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_silent() {
            return write!(f, "open, as there is no {SYSTEM}");
        }
        for (index, TrustFile { name, rules }) in self.0.iter().enumerate() {
            let and = if index > 0 { "; and " } else { "" };
            write!(f, "{and}{rules}, by {name}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
