//! Phrases to CLIP's tokens (Radford et al. 2021): lower case, byte-level merges within words.

use std::path::Path;

use medfocus_torch::{settings, tokenizer};
use serde_json::{Map, Value, json};
use tokenizers::{Tokenizer, TruncationParams};

use crate::config::TextConfig;
use crate::{Error, Result};

/// What begins a phrase, and what ends it.
const MARKS: [&str; 2] = ["<|startoftext|>", "<|endoftext|>"];
/// CLIP's pieces of a text: what follows an apostrophe, words, digits, other signs.
const PIECES: &str = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";
/// As many merges as the reference reads: its alphabet and the marks fill the rest of 49,152.
const MOST_MERGES: usize = 49_152 - 256 - 2;

/// What to do about a file that is missing.
const ADVICE: &str = "the folder must hold tokenizer.json, or vocab.json and merges.txt";

/// The tokenizer of a checkpoint.
#[derive(Debug)]
pub struct Phrases {
    tokenizer: Tokenizer,
}

/// A phrase as the network reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phrase {
    /// Its tokens, with those that begin and end it.
    pub ids: Vec<i64>,
    /// Whether it was longer than the network can read, and is cut.
    pub cut: bool,
}

impl Phrases {
    /// Reads `tokenizer.json`, or else `vocab.json` and `merges.txt`, of a folder.
    pub fn from_folder(folder: &Path, config: &TextConfig) -> Result<Self> {
        let whole = folder.join("tokenizer.json");
        let (path, mut tokenizer) = if whole.exists() {
            let tokenizer = tokenizer::open(&whole)?;
            (whole, tokenizer)
        } else {
            let path = folder.join("vocab.json");
            let tokenizer = tokenizer::parse(&describe(folder)?.to_string(), &path)?;
            (path, tokenizer)
        };
        let refuse = |reason: String| Error::File {
            path: path.clone(),
            reason,
        };
        let (largest, known) = (largest_id(&tokenizer), config.vocab_size);
        if largest >= known {
            return Err(refuse(format!(
                "has a token {largest} where config.json's text tower knows {known}"
            )));
        }
        let limit = TruncationParams {
            max_length: config.max_position_embeddings as usize,
            ..TruncationParams::default()
        };
        tokenizer
            .with_truncation(Some(limit))
            .map_err(|error| refuse(format!("cannot cut phrases ({error})")))?;
        let phrases = Self { tokenizer };
        match phrases.read("")?.ids.as_slice() {
            [_, end] if *end == largest => Ok(phrases),
            _ => Err(refuse(
                "is not CLIP's tokenizer: a phrase must have a token that begins it, and end with the largest".to_owned(),
            )),
        }
    }

    /// The tokens of a phrase.
    ///
    /// One that is too long loses its last words; the reference fails there.
    pub fn read(&self, phrase: &str) -> Result<Phrase> {
        let encoding = self.tokenizer.encode(phrase, true).map_err(|error| {
            Error::Request(format!("the phrase {phrase:?} cannot be read ({error})"))
        })?;
        Ok(Phrase {
            ids: encoding.get_ids().iter().map(|&id| i64::from(id)).collect(),
            cut: !encoding.get_overflowing().is_empty(),
        })
    }
}

fn largest_id(tokenizer: &Tokenizer) -> i64 {
    let ids = tokenizer.get_vocab(true).into_values();
    ids.max().map_or(0, i64::from)
}

/// The `tokenizer.json` that a folder without one should have.
fn describe(folder: &Path) -> Result<Value> {
    let path = folder.join("vocab.json");
    let vocabulary: Map<String, Value> =
        settings::read(path.clone(), ADVICE, settings::parse_json)?;
    // The first line is a version.
    let lines = |text: &str| {
        let lines = text.trim().lines().skip(1).take(MOST_MERGES);
        Ok(lines.map(str::to_owned).collect())
    };
    let merges: Vec<String> = settings::read(folder.join("merges.txt"), ADVICE, lines)?;
    let mut added = Vec::new();
    for mark in MARKS {
        let Some(id) = vocabulary.get(mark) else {
            return Err(Error::File {
                path,
                reason: format!("is not CLIP's vocabulary: it has no {mark}"),
            });
        };
        added.push(json!({
            "id": id, "content": mark, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": true, "special": true,
        }));
    }
    let [begin, end] = MARKS.map(|mark| json!([mark, vocabulary[mark]]));
    Ok(json!({
        "version": "1.0",
        "added_tokens": added,
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "NFC"},
            {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "},
            {"type": "Lowercase"},
        ]},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": PIECES}, "behavior": "Removed", "invert": true},
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        ]},
        "post_processor": {
            "type": "RobertaProcessing", "sep": end, "cls": begin, "trim_offsets": false, "add_prefix_space": false,
        },
        "decoder": null,
        "model": {
            "type": "BPE", "dropout": null, "unk_token": MARKS[1], "continuing_subword_prefix": "",
            "end_of_word_suffix": "</w>", "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
            "vocab": vocabulary, "merges": merges,
        },
    }))
}
