//! A program that speaks DICOM: its title and where it listens.

use std::fmt;

use medfocus_plugin_api::{Error, Result};

/// An application entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// What it is called, 16 characters at most.
    pub title: String,
    /// HOST:PORT.
    pub address: String,
}

impl Peer {
    /// Reads `TITLE@HOST:PORT`.
    ///
    /// # Errors
    ///
    /// The text has another form.
    pub fn parse(text: &str) -> Result<Self> {
        let parts = text.split_once('@').filter(|(title, address)| {
            let plain = |c: char| c.is_ascii_graphic() && c != '\\';
            let port = address.rsplit_once(':');
            let port = port.filter(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
            (1..=16).contains(&title.len()) && title.chars().all(plain) && port.is_some()
        });
        let (title, address) = parts.ok_or_else(|| {
            Error::invalid(format!("`{text}` is no TITLE@HOST:PORT"))
                .with_hint("a title has 1 to 16 letters, digits or signs")
        })?;
        Ok(Self {
            title: title.to_owned(),
            address: address.to_owned(),
        })
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.title, self.address)
    }
}
