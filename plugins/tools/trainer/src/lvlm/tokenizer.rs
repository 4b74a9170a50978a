//! The vocabulary: byte-pair merges that make each word of the corpus one token, single bytes for what it has never seen, runs of
//! line breaks as single tokens.

use std::collections::{BTreeSet, HashMap};

use anyhow::{Context, Result, anyhow};
use serde_json::{Value, json};
use tokenizers::Tokenizer;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::tokenizer::Trainer;

/// More merges than the corpus has room for: every word of it becomes one token.
const MOST_TOKENS: usize = 4096;

/// The tokens of a family.
pub struct Tokens {
    /// Those with a meaning of their own, by id.
    pub special: &'static [&'static str],
    /// The one that pads.
    pub pad: i64,
    /// The words of the chat template.
    pub roles: &'static str,
    /// The one that begins every sequence, if one does.
    pub begin: Option<&'static str>,
    /// How the others are spelt.
    pub spelling: Spelling,
}

/// How tokens are spelt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spelling {
    /// Gemma's: a space is `▁`, what no token covers is written in bytes, `<0x00>` to `<0xFF>`.
    Metaspace,
    /// Qwen's: a letter for each byte; the space's is `Ġ`.
    ByteLevel,
}

impl Spelling {
    fn space(self) -> &'static str {
        match self {
            Self::Metaspace => "▁",
            Self::ByteLevel => "Ġ",
        }
    }

    fn newline(self) -> &'static str {
        match self {
            Self::Metaspace => "\n",
            Self::ByteLevel => "Ċ",
        }
    }

    /// What every text can be written in.
    fn alphabet(self) -> Vec<String> {
        match self {
            Self::Metaspace => (0..256)
                .map(|byte| format!("<0x{byte:02X}>"))
                .chain(["\n".to_owned()])
                .collect(),
            Self::ByteLevel => {
                let letters: BTreeSet<char> = ByteLevel::alphabet().into_iter().collect();
                letters.into_iter().map(String::from).collect()
            }
        }
    }

    fn normalizer(self) -> Value {
        match self {
            Self::Metaspace => {
                json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"})
            }
            Self::ByteLevel => json!({"type": "NFC"}),
        }
    }

    fn pre_tokenizer(self) -> Value {
        match self {
            Self::Metaspace => Value::Null,
            Self::ByteLevel => byte_level(),
        }
    }

    fn decoder(self) -> Value {
        match self {
            Self::Metaspace => json!({
                "type": "Sequence",
                "decoders": [
                    {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                    {"type": "ByteFallback"},
                    {"type": "Fuse"},
                ],
            }),
            Self::ByteLevel => byte_level(),
        }
    }
}

fn byte_level() -> Value {
    json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false})
}

/// `tokenizer.json` of the tokenizer trained on these texts.
pub fn train(texts: &[String], of: &Tokens) -> Result<Value> {
    let spelling = of.spelling;
    let (pieces, merges) = learn_merges(texts, spelling)?;
    let one = spelling.newline();
    let two = one.repeat(2);
    let mut tokens: Vec<String> = of.special.iter().map(|text| (*text).to_owned()).collect();
    tokens.extend(spelling.alphabet());
    tokens.extend([two.clone(), one.repeat(3)]);
    tokens.extend(pieces);
    let mut vocabulary = serde_json::Map::new();
    for token in tokens {
        let id = vocabulary.len();
        vocabulary.entry(token).or_insert_with(|| json!(id));
    }
    let mut all_merges = vec![json!([one, one]), json!([two, one])];
    all_merges.extend(merges);

    let added: Vec<Value> = of
        .special
        .iter()
        .enumerate()
        .map(|(id, text)| {
            json!({
                "id": id, "content": text, "single_word": false,
                "lstrip": false, "rstrip": false, "normalized": false, "special": true,
            })
        })
        .collect();
    let fallback = spelling == Spelling::Metaspace;
    Ok(json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added,
        "normalizer": spelling.normalizer(),
        "pre_tokenizer": spelling.pre_tokenizer(),
        "post_processor": of.begin.map(|text| beginning(text, of.special)),
        "decoder": spelling.decoder(),
        "model": {
            "type": "BPE",
            "dropout": null,
            "unk_token": fallback.then_some("<unk>"),
            "continuing_subword_prefix": null,
            "end_of_word_suffix": null,
            "fuse_unk": fallback,
            "byte_fallback": fallback,
            "ignore_merges": false,
            "vocab": vocabulary,
            "merges": all_merges,
        },
    }))
}

/// What puts this token before every sequence.
fn beginning(text: &str, special: &[&str]) -> Value {
    let id = special.iter().position(|known| *known == text);
    let begin = json!({"SpecialToken": {"id": text, "type_id": 0}});
    let sequence = |id: &str, type_id: i64| json!({"Sequence": {"id": id, "type_id": type_id}});
    json!({
        "type": "TemplateProcessing",
        "single": [begin, sequence("A", 0)],
        "pair": [begin, sequence("A", 0), begin, sequence("B", 1)],
        "special_tokens": {text: {"id": text, "ids": [id], "tokens": [text]}},
    })
}

/// Number of tokens of a `tokenizer.json`.
pub fn size(file: &Value) -> Result<usize> {
    let tokenizer = Tokenizer::from_bytes(file.to_string())
        .map_err(|error| anyhow!("the tokenizer is malformed: {error}"))?;
    Ok(tokenizer.get_vocab_size(true))
}

/// Tokens, by age, and merges, by rank, such that every word of the texts is one token.
fn learn_merges(texts: &[String], spelling: Spelling) -> Result<(Vec<String>, Vec<Value>)> {
    let fail = |error: tokenizers::Error| anyhow!("the tokenizer cannot be trained: {error}");
    let mut trainer = BpeTrainer::builder()
        .vocab_size(MOST_TOKENS)
        .min_frequency(1)
        .show_progress(false)
        .build();
    trainer
        .feed(texts.iter(), |text| Ok(words(text, spelling.space())))
        .map_err(fail)?;
    let mut model = BPE::default();
    trainer.train(&mut model).map_err(fail)?;
    let model = serde_json::to_value(&model)?;
    let ids: HashMap<String, usize> = serde_json::from_value(model["vocab"].clone())?;
    let mut tokens: Vec<(usize, String)> = ids.into_iter().map(|(token, id)| (id, token)).collect();
    tokens.sort();
    let merges = model["merges"]
        .as_array()
        .context("the trained tokenizer has no merges")?
        .clone();
    Ok((tokens.into_iter().map(|(_, token)| token).collect(), merges))
}

/// Splits a text into words with the space before them, numbers, and runs of other signs.
fn words(text: &str, space: &str) -> Vec<String> {
    let kind = |sign: char| match sign {
        _ if sign.is_alphabetic() => 0,
        _ if sign.is_numeric() => 1,
        _ => 2,
    };
    let mut words: Vec<String> = Vec::new();
    let mut last = None;
    for sign in text.chars() {
        if sign == ' ' {
            words.push(space.to_owned());
            last = None;
            continue;
        }
        let glued = words.last().is_some_and(|word| word == space) || last == Some(kind(sign));
        match words.last_mut() {
            Some(word) if glued => word.push(sign),
            _ => words.push(sign.to_string()),
        }
        last = Some(kind(sign));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lvlm::corpus::{Boxes, all_texts};

    const TOKENS: [Tokens; 2] = [
        Tokens {
            special: &["<pad>", "<unk>", "<bos>"],
            pad: 0,
            roles: "user model",
            begin: Some("<bos>"),
            spelling: Spelling::Metaspace,
        },
        Tokens {
            special: &["<|pad|>", "<|end|>"],
            pad: 0,
            roles: "user assistant",
            begin: None,
            spelling: Spelling::ByteLevel,
        },
    ];

    fn trained(of: &Tokens) -> (Value, Tokenizer) {
        let file = train(&all_texts(Boxes::Thousandths, of.roles), of).unwrap();
        let tokenizer = Tokenizer::from_bytes(file.to_string()).unwrap();
        (file, tokenizer)
    }

    #[test]
    fn every_word_and_number_is_one_token() {
        for of in TOKENS {
            let (file, tokenizer) = trained(&of);
            for text in all_texts(Boxes::Thousandths, of.roles) {
                let wanted = words(&text, of.spelling.space());
                assert_eq!(tokenizer.encode(text, false).unwrap().get_tokens(), wanted);
            }
            assert!(size(&file).unwrap() <= 1000);
        }
    }

    #[test]
    fn any_text_survives() {
        for of in TOKENS {
            let (_, tokenizer) = trained(&of);
            for text in [
                "",
                "Zebra?",
                "a  b",
                "é ▁ 漢字 🫁",
                "\n\n\n\n x\ty",
                "[[25, 50,75]]",
            ] {
                let ids = tokenizer.encode(text, false).unwrap();
                let expected = match of.spelling {
                    Spelling::Metaspace => text.replace('▁', " "),
                    Spelling::ByteLevel => text.to_owned(),
                };
                assert_eq!(tokenizer.decode(ids.get_ids(), false).unwrap(), expected);
            }
        }
    }

    #[test]
    fn special_tokens_have_their_places() {
        for of in TOKENS {
            let (_, tokenizer) = trained(&of);
            for (id, text) in of.special.iter().enumerate() {
                assert_eq!(tokenizer.token_to_id(text), Some(id as u32));
            }
            let ids = tokenizer.encode("yes", true).unwrap();
            let begins = tokenizer.decode(&ids.get_ids()[..1], false).unwrap();
            assert_eq!(begins == "<bos>", of.begin.is_some());
        }
    }
}
