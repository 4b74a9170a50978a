//! The reference pool of MedFocus as a folder: building one from a dataset, checking it, drawing it.
//!
//! The folder's layout is that of the dataset `reference_pool`, which reads it.

pub mod build;
pub mod check;

use medfocus_plugin_api::{Result, Sample};

use crate::plugin::{Progress, Session};

/// The dataset that reads a pool.
pub const READER: &str = "reference_pool";

/// How a reference is called: by the name of its image.
pub fn name_of(sample: &Sample) -> String {
    let number = || sample.key.index.to_string();
    sample.patient.clone().unwrap_or_else(number)
}

/// Shows progress, and stops here if the user asked to.
pub(crate) fn step(session: &Session, done: u64, total: u64, note: &str) -> Result<()> {
    session.step(&Progress {
        component: "pool",
        done,
        total,
        note,
    })
}
