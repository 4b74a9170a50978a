//! Tokenizers beside a checkpoint's weights.

use std::path::Path;

use medfocus_plugin_api::file;

use crate::{Error, Result};

pub use tokenizers::Tokenizer;

/// The tokenizer of a `tokenizer.json`; see [`parse`].
pub fn open(path: &Path) -> Result<Tokenizer> {
    let text = file::read_to_string(path).map_err(|error| Error::unreadable(path, error))?;
    parse(&text, path)
}

/// The tokenizer that a text in the manner of `tokenizer.json` describes, read or made from the file at `path`. It neither pads
/// nor truncates, whatever the file says.
pub fn parse(text: &str, path: &Path) -> Result<Tokenizer> {
    let mut tokenizer: Tokenizer = text.parse().map_err(|error| Error::File {
        path: path.to_owned(),
        reason: format!("is not a readable tokenizer ({error})"),
    })?;
    tokenizer.with_padding(None);
    let _ = tokenizer.with_truncation(None);
    Ok(tokenizer)
}
