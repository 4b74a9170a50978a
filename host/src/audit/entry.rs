//! What stands in the log.

use medfocus_plugin_api::{ErrorKind, Result};
use serde::{Deserialize, Serialize};

/// An entry of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// 1 for the first.
    pub number: u64,
    /// When, as RFC 3339 in UTC.
    pub time: String,
    /// Number of the user whose process it was.
    pub uid: u32,
    /// The program and its version.
    pub program: String,
    /// Number of the process.
    pub process: u32,
    /// What happened.
    pub event: Event,
    /// Digest of the entry before; of nothing for the first.
    pub previous: String,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A command began.
    Began {
        /// Its name, as `attribute`.
        command: String,
    },
    /// A component was made.
    Made {
        /// Its kind, as `model`.
        kind: String,
        /// Its name.
        component: String,
        /// Digest of its plugin.
        plugin: String,
        /// Digest of a model's checkpoint.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        checkpoint: Option<String>,
    },
    /// An image file was read.
    Read {
        /// Its digest.
        image: String,
    },
    /// The command ended.
    Ended {
        /// `done`, `failed` or `cancelled`.
        outcome: Outcome,
    },
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It did what it was asked to.
    Done,
    /// It could not.
    Failed,
    /// The user stopped it.
    Cancelled,
}

impl Outcome {
    /// The outcome of whatever ended like this.
    pub fn of<T>(result: &Result<T>) -> Self {
        match result {
            Ok(_) => Self::Done,
            Err(error) if error.kind == ErrorKind::Cancelled => Self::Cancelled,
            Err(_) => Self::Failed,
        }
    }
}
