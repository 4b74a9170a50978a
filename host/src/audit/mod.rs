//! Who ran what on which image: a log that only grows, where each entry names the one before.
//!
//! An entry holds time, user, program, and what happened, by digests; nothing of a patient: no file name, no question, no
//! answer. [`chain`] is how the log is written and verified.

pub mod chain;
mod entry;
pub mod syslog;

pub use entry::{Entry, Event, Outcome};

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use medfocus_plugin_api::{Error, Result};
use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use self::chain::Chain;

/// Where the log is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuditConfig {
    /// The log's file; nothing: there is none.
    pub file: Option<PathBuf>,
    /// A file of 32 bytes or more that only this program may read: without it nobody can write entries that verify.
    pub key: Option<PathBuf>,
}

/// The log, if the config names one. Clones write to the same.
#[derive(Clone, Default)]
pub struct Audit(Option<Arc<Log>>);

struct Log {
    chain: Chain,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Which components were made already.
    said: BTreeSet<Event>,
    /// Why the last entry could not be written.
    trouble: Option<Error>,
}

impl Audit {
    /// Opens the log.
    ///
    /// # Errors
    ///
    /// The key cannot be read.
    pub fn new(config: &AuditConfig) -> Result<Self> {
        let Some(file) = &config.file else {
            return Ok(Self::default());
        };
        let log = Log {
            chain: Chain::new(file, config.key.as_deref())?,
            state: Mutex::default(),
        };
        Ok(Self(Some(Arc::new(log))))
    }

    /// Whether there is a log.
    pub fn is_kept(&self) -> bool {
        self.0.is_some()
    }

    /// Adds an entry and brings it to the disk. That a component was made, which many workers do, is said once.
    ///
    /// # Errors
    ///
    /// It cannot be written, or what is there was altered: then nothing must be done that is not in the log.
    pub fn record(&self, event: Event) -> Result<()> {
        let Some(log) = &self.0 else { return Ok(()) };
        let mut state = log.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.said.contains(&event) {
            return Ok(());
        }
        let once = matches!(event, Event::Made { .. }).then(|| event.clone());
        let written = log.write(event);
        state.trouble = written.as_ref().err().cloned();
        if written.is_ok() {
            state.said.extend(once);
        }
        written
    }

    /// Fails as the last entry did: so an error of the log can be told from one of an image, which stops nothing.
    ///
    /// # Errors
    ///
    /// That of [`Audit::record`].
    pub fn holds(&self) -> Result<()> {
        let Some(log) = &self.0 else { return Ok(()) };
        let state = log.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.trouble.clone().map_or(Ok(()), Err)
    }
}

impl Log {
    fn write(&self, event: Event) -> Result<()> {
        let time = OffsetDateTime::now_utc()
            .format(&Rfc3339)
            .map_err(|error| Error::internal(format!("the time cannot be told: {error}")))?;
        self.chain.append(|number, previous| Entry {
            number,
            time,
            uid: rustix::process::getuid().as_raw(),
            program: concat!("medfocus ", env!("CARGO_PKG_VERSION")).to_owned(),
            process: std::process::id(),
            event,
            previous,
        })
    }
}
