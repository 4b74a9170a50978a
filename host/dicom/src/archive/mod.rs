//! Archives: sending objects to one, taking films from one. Nothing else here uses a network.

mod command;
mod peer;
pub mod receive;
mod store;
mod web;

use std::{fmt, time::Duration};

use medfocus_plugin_api::{Error, Result};

pub use peer::Peer;

/// Where objects are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Archive {
    /// `dicom://TITLE@HOST:PORT`: by C-STORE (PS3.4 B).
    Store(Peer),
    /// `https://...`: by STOW-RS (PS3.18 10.5), to this address of studies.
    Web(String),
}

/// How this program speaks to an archive.
#[derive(Clone, Debug)]
pub struct Speaking {
    /// What it is called.
    pub title: String,
    /// How long it waits for an answer.
    pub patience: Duration,
    /// Certificates (PEM) of those who may vouch for an archive; Mozilla's if nothing.
    pub authorities: Option<Vec<u8>>,
}

impl Archive {
    /// Reads the address of an archive.
    ///
    /// # Errors
    ///
    /// It has neither form.
    pub fn parse(text: &str) -> Result<Self> {
        if let Some(peer) = text.strip_prefix("dicom://") {
            return Peer::parse(peer).map(Self::Store);
        }
        if text.starts_with("https://") || text.starts_with("http://") {
            return Ok(Self::Web(text.to_owned()));
        }
        Err(
            Error::invalid(format!("`{text}` is no address of an archive"))
                .with_hint("write dicom://TITLE@HOST:PORT, or https://HOST/dicom-web/studies"),
        )
    }

    /// Stores these files, which are those of [`crate::Object`].
    ///
    /// # Errors
    ///
    /// The archive cannot be reached, refuses, or does not answer in time; then some of them may be stored.
    pub fn send(&self, files: &[&[u8]], speaking: &Speaking) -> Result<()> {
        match self {
            Self::Store(peer) => store::send(peer, files, speaking),
            Self::Web(address) => web::send(address, files, speaking),
        }
    }
}

impl fmt::Display for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(peer) => write!(f, "dicom://{peer}"),
            Self::Web(address) => f.write_str(address),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written() {
        for text in [
            "dicom://PACS@pacs.local:104",
            "https://pacs.local/dicom-web/studies",
        ] {
            assert_eq!(Archive::parse(text).unwrap().to_string(), text);
        }
        for text in [
            "pacs.local",
            "dicom://pacs.local:104",
            "dicom://@host:1",
            "dicom://A TITLE THAT IS TOO LONG@host:1",
            "dicom://PACS@host",
            "dicom://PACS@host:99999",
        ] {
            assert!(Archive::parse(text).is_err(), "{text}");
        }
    }
}
