//! Whether a plugin may be loaded.

use std::path::Path;

use medfocus_plugin_api::Result;

use super::{contents::Contents, pins::Pins};
use crate::trust::{Candidate, Trust, Voucher};

/// The config's pins, and what trust files say; a plugin must pass both. An empty one lets everything pass.
#[derive(Clone, Debug, Default)]
pub struct Gate {
    pins: Pins,
    trust: Trust,
}

impl Gate {
    /// Of these pins and this trust.
    pub const fn new(pins: Pins, trust: Trust) -> Self {
        Self { pins, trust }
    }

    /// Who vouches for a plugin that may be loaded, from the file at `path`.
    ///
    /// # Errors
    ///
    /// It may not.
    pub fn admit(&self, path: &Path, contents: &Contents) -> Result<Voucher> {
        let refuse =
            |error: medfocus_plugin_api::Error| error.context(format!("plugin {}", path.display()));
        let copies = contents.copies.as_ref();
        let candidate = Candidate {
            path,
            bytes: &contents.bytes,
            digest: &contents.id.digest,
            beyond: copies.and_then(|copies| copies.undescribed()),
        };
        let voucher = self.trust.admit(&candidate).map_err(refuse)?;
        let pinned = self.pins.check(&contents.id).map_err(refuse)?;
        Ok(match voucher {
            Voucher::Nobody if pinned => Voucher::Pin,
            voucher => voucher,
        })
    }
}
