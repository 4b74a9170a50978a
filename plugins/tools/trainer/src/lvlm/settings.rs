//! The files of a checkpoint that are there before it is trained.

use anyhow::Result;

use super::corpus::all_texts;
use super::student::Student;
use super::tokenizer;
use crate::checkpoint::Staging;

/// Writes everything but the weights.
pub fn write<S: Student>(staging: &Staging) -> Result<()> {
    let texts = all_texts(S::BOXES, S::TOKENS.roles);
    let tokens = tokenizer::train(&texts, &S::TOKENS)?;
    staging.write_json("config.json", &S::config(tokenizer::size(&tokens)?))?;
    staging.write_json("tokenizer.json", &tokens)?;
    S::write(staging)
}
