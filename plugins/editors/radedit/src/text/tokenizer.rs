//! Prompts to tokens: BERT's WordPiece (Devlin et al. 2019).

use std::collections::BTreeMap;
use std::path::Path;

use medfocus_torch::{settings, tokenizer};
use serde::Deserialize;
use serde_json::{Value, json};
use tokenizers::{PaddingDirection, PaddingParams, PaddingStrategy, Tokenizer, TruncationParams};

use crate::{Error, Result};

/// What to do about a file that is missing.
const ADVICE: &str = "the folder must hold tokenizer.json, or vocab.txt";
const VOCABULARY: &str = "vocab.txt";
const SETTINGS: &str = "tokenizer_config.json";

/// A tokenizer whose texts all have as many tokens.
#[derive(Debug)]
pub struct WordPiece {
    tokenizer: Tokenizer,
    largest: i64,
}

/// A text as the encoder reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    /// Its tokens, what begins and ends it and the padding among them.
    pub ids: Vec<i64>,
    /// How many of them are not padding.
    pub own: usize,
    /// Whether the text was too long, and is cut.
    pub cut: bool,
}

/// `tokenizer_config.json`; what it leaves out takes the default of `BertTokenizer`.
#[derive(Debug, Deserialize)]
#[serde(default)]
struct Settings {
    do_lower_case: bool,
    /// As `do_lower_case` if null.
    strip_accents: Option<bool>,
    tokenize_chinese_chars: bool,
    unk_token: Mark,
    sep_token: Mark,
    pad_token: Mark,
    cls_token: Mark,
    mask_token: Mark,
}

impl Default for Settings {
    fn default() -> Self {
        let mark = |text: &str| Mark::Plain(text.to_owned());
        Self {
            do_lower_case: true,
            strip_accents: None,
            tokenize_chinese_chars: true,
            unk_token: mark("[UNK]"),
            sep_token: mark("[SEP]"),
            pad_token: mark("[PAD]"),
            cls_token: mark("[CLS]"),
            mask_token: mark("[MASK]"),
        }
    }
}

/// A special token as either generation of files writes it.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Mark {
    Plain(String),
    Described { content: String },
}

impl Mark {
    fn text(&self) -> &str {
        match self {
            Self::Plain(text) | Self::Described { content: text } => text,
        }
    }
}

impl WordPiece {
    /// Reads `tokenizer.json`, or else `vocab.txt`, and `tokenizer_config.json` if it is there. Texts get `length` tokens.
    pub fn from_folder(folder: &Path, length: usize) -> Result<Self> {
        let path = folder.join(SETTINGS);
        let marks = if path.exists() {
            settings::read(path, ADVICE, settings::parse_json)?
        } else {
            Settings::default()
        };
        let whole = folder.join("tokenizer.json");
        let (path, mut tokenizer) = if whole.exists() {
            let tokenizer = tokenizer::open(&whole)?;
            (whole, tokenizer)
        } else {
            let path = folder.join(VOCABULARY);
            let description = settings::read(path.clone(), ADVICE, |text| {
                describe(&vocabulary(text)?, &marks)
            })?;
            let tokenizer = tokenizer::parse(&description.to_string(), &path)?;
            (path, tokenizer)
        };
        let refuse = |reason: String| Error::File {
            path: path.clone(),
            reason,
        };
        let pad = marks.pad_token.text();
        let pad_id = tokenizer
            .token_to_id(pad)
            .ok_or_else(|| refuse(format!("it has no token {pad}")))?;
        tokenizer
            .with_padding(Some(PaddingParams {
                strategy: PaddingStrategy::Fixed(length),
                direction: PaddingDirection::Right,
                pad_id,
                pad_token: pad.to_owned(),
                ..PaddingParams::default()
            }))
            .with_truncation(Some(TruncationParams {
                max_length: length,
                ..TruncationParams::default()
            }))
            .map_err(|error| refuse(format!("it cannot cut prompts ({error})")))?;
        let ids = tokenizer.get_vocab(true).into_values();
        let largest = ids.max().map_or(0, i64::from);
        Ok(Self { tokenizer, largest })
    }

    /// Its largest token.
    pub fn largest(&self) -> i64 {
        self.largest
    }

    /// The tokens of a text.
    pub fn read(&self, text: &str) -> Result<Tokens> {
        let encoding = self.tokenizer.encode(text, true).map_err(|error| {
            Error::Request(format!("the prompt {text:?} cannot be read ({error})"))
        })?;
        let own = encoding.get_attention_mask().iter().sum::<u32>();
        Ok(Tokens {
            ids: encoding.get_ids().iter().map(|&id| i64::from(id)).collect(),
            own: own as usize,
            cut: !encoding.get_overflowing().is_empty(),
        })
    }
}

/// A word a line, numbered from 0; of equal ones the last counts, as in the reference.
fn vocabulary(text: &str) -> Result<BTreeMap<String, usize>> {
    if text.starts_with('\u{feff}') {
        return Err(Error::Config(
            "it begins with a byte order mark, which would become a part of its first token; save it as UTF-8 without one"
                .to_owned(),
        ));
    }
    let lines = text.lines().enumerate();
    Ok(lines.map(|(id, word)| (word.to_owned(), id)).collect())
}

/// The `tokenizer.json` that a folder without one should have.
fn describe(words: &BTreeMap<String, usize>, settings: &Settings) -> Result<Value> {
    let id = |mark: &Mark| {
        words.get(mark.text()).copied().ok_or_else(|| {
            Error::Config(format!(
                "it is not BERT's vocabulary: it has no {}",
                mark.text()
            ))
        })
    };
    let (begin, end) = (&settings.cls_token, &settings.sep_token);
    let mut added = Vec::new();
    for mark in [
        &settings.unk_token,
        end,
        &settings.pad_token,
        begin,
        &settings.mask_token,
    ] {
        added.push(json!({
            "id": id(mark)?, "content": mark.text(), "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true,
        }));
    }
    let special = |mark: &Mark| json!({"SpecialToken": {"id": mark.text(), "type_id": 0}});
    let named = |mark: &Mark| -> Result<Value> {
        Ok(json!({"id": mark.text(), "ids": [id(mark)?], "tokens": [mark.text()]}))
    };
    let first = json!({"Sequence": {"id": "A", "type_id": 0}});
    let second = json!({"Sequence": {"id": "B", "type_id": 1}});
    Ok(json!({
        "version": "1.0",
        "added_tokens": added,
        "normalizer": {"type": "Sequence", "normalizers": [
            // The reference composes what may keep its accents.
            {"type": "NFC"},
            {
                "type": "BertNormalizer", "clean_text": true, "lowercase": settings.do_lower_case,
                "strip_accents": settings.strip_accents, "handle_chinese_chars": settings.tokenize_chinese_chars,
            },
        ]},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [special(begin), first.clone(), special(end)],
            "pair": [special(begin), first, special(end), second, special(end)],
            "special_tokens": {begin.text(): named(begin)?, end.text(): named(end)?},
        },
        "decoder": null,
        "model": {
            "type": "WordPiece", "unk_token": settings.unk_token.text(), "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": words,
        },
    }))
}
