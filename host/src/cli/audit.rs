//! `medfocus audit`.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Subcommand};
use medfocus_plugin_api::{Error, Result};

use crate::{
    audit::{
        AuditConfig,
        chain::{Chain, Head},
        syslog,
    },
    config::Layers,
};

#[derive(Subcommand)]
pub enum Audit {
    /// Check that the log is whole and say where it ends, as ENTRIES:DIGEST
    Verify(Verify),
    /// Print the log's entries as audit messages of DICOM PS3.15 A.5, one a line
    Export(Export),
}

#[derive(Args)]
pub struct Verify {
    /// Where it ended some time ago, as this command said then: the log must go through it
    #[arg(long, value_name = "ENTRIES:DIGEST")]
    since: Option<Head>,
}

#[derive(Args)]
pub struct Export {
    /// The name of this installation in the messages
    #[arg(long, value_name = "NAME", default_value = "medfocus")]
    source: String,
}

impl Audit {
    pub fn run(self, layers: &Layers) -> Result<ExitCode> {
        let AuditConfig { file, key } = &layers.config.audit;
        let file: &PathBuf = file.as_ref().ok_or_else(|| {
            Error::missing("there is no audit log").with_hint("`audit.file` in the config names it")
        })?;
        let chain = Chain::new(file, key.as_deref())?;
        match self {
            Self::Verify(Verify { since }) => {
                println!("{}", chain.verify(since.as_ref(), |_| {})?);
            }
            Self::Export(Export { source }) => {
                // Nothing is printed of a log that is not whole.
                let mut messages = Vec::new();
                chain.verify(None, |entry| messages.push(syslog::message(entry, &source)))?;
                for message in messages {
                    let message = message.map_err(|error| {
                        Error::internal(format!("a message cannot be made: {error}"))
                    })?;
                    println!("{message}");
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
