//! The files of a checkpoint that are there before it is trained.

use anyhow::Result;

use super::student::Student;
use super::tokenizer;
use crate::checkpoint::Staging;

/// Writes everything but the weights.
pub fn write<S: Student>(staging: &Staging) -> Result<()> {
    let tokens = tokenizer::of::<S>()?;
    staging.write_json("config.json", &S::config(tokenizer::size(&tokens)?))?;
    staging.write_json("tokenizer.json", &tokens)?;
    S::write(staging)
}
