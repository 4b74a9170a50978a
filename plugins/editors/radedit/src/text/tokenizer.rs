//! Words to numbers: WordPiece, from `tokenizer.json` or from `vocab.txt`.

use std::path::Path;

use medfocus_plugin_api::file;
use medfocus_torch::tokenizer::{self, Tokenizer};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{Error, Result};

/// Tokens of a prompt, padding included.
pub const LENGTH: usize = 128;

/// A prompt in numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Prompt {
    /// [`LENGTH`] tokens: `[CLS]`, the words, `[SEP]`, padding.
    pub ids: Vec<i64>,
    /// Which of them are no padding.
    pub seen: Vec<bool>,
}

/// The tokenizer of a text encoder.
pub struct WordPiece {
    tokenizer: Tokenizer,
    end: u32,
    padding: u32,
}

/// What of `tokenizer_config.json` matters beside a `vocab.txt`.
#[derive(Deserialize)]
#[serde(default)]
struct Flags {
    do_lower_case: bool,
    strip_accents: Option<bool>,
    tokenize_chinese_chars: bool,
}

impl Default for Flags {
    fn default() -> Self {
        Self {
            do_lower_case: true,
            strip_accents: None,
            tokenize_chinese_chars: true,
        }
    }
}

impl WordPiece {
    /// Reads `tokenizer.json` of the folder, or `vocab.txt` with `tokenizer_config.json`.
    ///
    /// # Errors
    ///
    /// There is neither, or one is broken or lacks `[CLS]`, `[SEP]`, `[PAD]` or `[UNK]`.
    pub fn open(folder: &Path) -> Result<Self> {
        let whole = folder.join("tokenizer.json");
        let path = if whole.exists() {
            whole
        } else {
            folder.join("vocab.txt")
        };
        let tokenizer = if path.ends_with("tokenizer.json") {
            tokenizer::open(&path)?
        } else {
            let text = text(&path)?;
            let flags = folder.join("tokenizer_config.json");
            let flags = match flags.exists() {
                true => medfocus_torch::settings::parse_json(&self::text(&flags)?)?,
                false => Flags::default(),
            };
            tokenizer::parse(&described(&text, &flags, &path)?, &path)?
        };
        let id = |token: &str| {
            tokenizer.token_to_id(token).ok_or_else(|| Error::File {
                path: path.clone(),
                reason: format!("has no token {token}"),
            })
        };
        Ok(Self {
            end: id("[SEP]")?,
            padding: id("[PAD]")?,
            tokenizer,
        })
    }

    /// A prompt in numbers; what does not fit into [`LENGTH`] is left out.
    pub fn encode(&self, prompt: &str) -> Result<Prompt> {
        let encoding = self.tokenizer.encode(prompt, true);
        let encoding = encoding
            .map_err(|error| Error::Request(format!("the prompt cannot be read: {error}")))?;
        let mut ids = encoding.get_ids().to_vec();
        if ids.len() > LENGTH {
            ids.truncate(LENGTH - 1);
            ids.push(self.end);
        }
        let words = ids.len();
        ids.resize(LENGTH, self.padding);
        Ok(Prompt {
            ids: ids.into_iter().map(i64::from).collect(),
            seen: (0..LENGTH).map(|at| at < words).collect(),
        })
    }
}

fn text(path: &Path) -> Result<String> {
    file::read_to_string(path).map_err(|error| Error::File {
        path: path.to_owned(),
        reason: format!("cannot be read ({error})"),
    })
}

/// A vocabulary in the manner of `tokenizer.json`.
fn described(vocabulary: &str, flags: &Flags, path: &Path) -> Result<String> {
    let words = vocabulary.lines().map(|line| line.trim_end_matches('\r'));
    let words: Map<String, Value> = words
        .enumerate()
        .map(|(number, word)| (word.to_owned(), json!(number)))
        .collect();
    let id = |token: &str| {
        words.get(token).cloned().ok_or_else(|| Error::File {
            path: path.to_owned(),
            reason: format!("has no token {token}"),
        })
    };
    let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
    let special = special.iter().filter(|token| words.contains_key(**token));
    let special: Vec<Value> = special
        .map(|token| {
            json!({ "id": words[*token], "content": token, "single_word": false, "lstrip": false,
                    "rstrip": false, "normalized": false, "special": true })
        })
        .collect();
    let named = |token: &str| -> Result<Value> {
        Ok(json!({ "id": token, "ids": [id(token)?], "tokens": [token] }))
    };
    let piece = |name: &str| json!({ "SpecialToken": { "id": name, "type_id": 0 } });
    id("[UNK]")?;
    let described = json!({
        "version": "1.0",
        "added_tokens": special,
        "normalizer": {
            "type": "BertNormalizer", "clean_text": true,
            "handle_chinese_chars": flags.tokenize_chinese_chars,
            "strip_accents": flags.strip_accents, "lowercase": flags.do_lower_case,
        },
        "pre_tokenizer": { "type": "BertPreTokenizer" },
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [piece("[CLS]"), { "Sequence": { "id": "A", "type_id": 0 } }, piece("[SEP]")],
            "pair": [{ "Sequence": { "id": "A", "type_id": 0 } }, { "Sequence": { "id": "B", "type_id": 1 } }],
            "special_tokens": { "[CLS]": named("[CLS]")?, "[SEP]": named("[SEP]")? },
        },
        "decoder": null,
        "model": {
            "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": words,
        },
    });
    Ok(described.to_string())
}
