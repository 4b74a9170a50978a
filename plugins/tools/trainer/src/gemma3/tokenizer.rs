//! The vocabulary, in Gemma's manner: byte-pair merges over text whose spaces are written `▁`, bytes
//! for what it has never seen, runs of line breaks as single tokens.

use std::collections::HashMap;

use anyhow::{Context, Result, anyhow};
use serde_json::{Value, json};
use tokenizers::Tokenizer;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::tokenizer::Trainer;

/// Tokens with a meaning of their own; their ids are their places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Special {
    Pad,
    Eos,
    Bos,
    Unknown,
    StartTurn,
    EndTurn,
    BeginImage,
    EndImage,
    Image,
}

impl Special {
    /// Every special token, by id.
    pub const ALL: [Special; 9] = [
        Special::Pad,
        Special::Eos,
        Special::Bos,
        Special::Unknown,
        Special::StartTurn,
        Special::EndTurn,
        Special::BeginImage,
        Special::EndImage,
        Special::Image,
    ];

    /// Its id.
    pub fn id(self) -> i64 {
        self as i64
    }

    /// How it is written.
    pub fn text(self) -> &'static str {
        match self {
            Special::Pad => "<pad>",
            Special::Eos => "<eos>",
            Special::Bos => "<bos>",
            Special::Unknown => "<unk>",
            Special::StartTurn => "<start_of_turn>",
            Special::EndTurn => "<end_of_turn>",
            Special::BeginImage => "<start_of_image>",
            Special::EndImage => "<end_of_image>",
            Special::Image => "<image_soft_token>",
        }
    }
}

/// More merges than the corpus has room for: every word of it becomes one token.
const MOST_TOKENS: usize = 4096;

/// `tokenizer.json` of the tokenizer trained on these texts.
pub fn train(texts: &[String]) -> Result<Value> {
    let (pieces, merges) = learn_merges(texts)?;
    let mut tokens: Vec<String> = Special::ALL
        .iter()
        .map(|special| special.text().to_owned())
        .collect();
    tokens.extend((0..256).map(|byte| format!("<0x{byte:02X}>")));
    tokens.extend(["\n", "\n\n", "\n\n\n"].map(str::to_owned));
    tokens.extend(pieces);
    let vocabulary: serde_json::Map<String, Value> = tokens
        .into_iter()
        .enumerate()
        .map(|(id, token)| (token, json!(id)))
        .collect();
    let mut all_merges = vec![json!(["\n", "\n"]), json!(["\n\n", "\n"])];
    all_merges.extend(merges);

    let added: Vec<Value> = Special::ALL
        .iter()
        .map(|special| {
            json!({
                "id": special.id(), "content": special.text(), "single_word": false,
                "lstrip": false, "rstrip": false, "normalized": false, "special": true,
            })
        })
        .collect();
    let bos = Special::Bos.text();
    let begin = json!({"SpecialToken": {"id": bos, "type_id": 0}});
    let sequence = |id: &str, type_id: i64| json!({"Sequence": {"id": id, "type_id": type_id}});
    Ok(json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added,
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        "pre_tokenizer": null,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [begin, sequence("A", 0)],
            "pair": [begin, sequence("A", 0), begin, sequence("B", 1)],
            "special_tokens": {bos: {"id": bos, "ids": [Special::Bos.id()], "tokens": [bos]}},
        },
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
            ],
        },
        "model": {
            "type": "BPE",
            "dropout": null,
            "unk_token": Special::Unknown.text(),
            "continuing_subword_prefix": null,
            "end_of_word_suffix": null,
            "fuse_unk": true,
            "byte_fallback": true,
            "ignore_merges": false,
            "vocab": vocabulary,
            "merges": all_merges,
        },
    }))
}

/// Number of tokens of a `tokenizer.json`.
pub fn size(file: &Value) -> Result<usize> {
    let tokenizer = Tokenizer::from_bytes(file.to_string())
        .map_err(|error| anyhow!("the tokenizer is malformed: {error}"))?;
    Ok(tokenizer.get_vocab_size(true))
}

/// Tokens, by age, and merges, by rank, such that every word of the texts is one token.
fn learn_merges(texts: &[String]) -> Result<(Vec<String>, Vec<Value>)> {
    let fail = |error: tokenizers::Error| anyhow!("the tokenizer cannot be trained: {error}");
    let mut trainer = BpeTrainer::builder()
        .vocab_size(MOST_TOKENS)
        .min_frequency(1)
        .show_progress(false)
        .build();
    trainer
        .feed(texts.iter(), |text| Ok(words(text)))
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
fn words(text: &str) -> Vec<String> {
    let kind = |sign: char| match sign {
        _ if sign.is_alphabetic() => 0,
        _ if sign.is_numeric() => 1,
        _ => 2,
    };
    let mut words: Vec<String> = Vec::new();
    let mut last = None;
    for sign in text.chars() {
        if sign == ' ' {
            words.push("▁".to_owned());
            last = None;
            continue;
        }
        let glued = words.last().is_some_and(|word| word == "▁") || last == Some(kind(sign));
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
    use crate::gemma3::corpus;

    fn trained() -> (Value, Tokenizer) {
        let file = train(&corpus::all_texts()).unwrap();
        let tokenizer = Tokenizer::from_bytes(file.to_string()).unwrap();
        (file, tokenizer)
    }

    #[test]
    fn every_word_and_number_is_one_token() {
        let (file, tokenizer) = trained();
        for text in corpus::all_texts() {
            let wanted: Vec<String> = words(&text);
            assert_eq!(tokenizer.encode(text, false).unwrap().get_tokens(), wanted);
        }
        assert!(size(&file).unwrap() <= 1000);
    }

    #[test]
    fn any_text_survives() {
        let (_, tokenizer) = trained();
        for text in [
            "",
            "Zebra?",
            "a  b",
            "é ▁ 漢字 🫁",
            "\n\n\n\n x\ty",
            "[[25, 50,75]]",
        ] {
            let ids = tokenizer.encode(text, false).unwrap();
            let expected = text.replace('▁', " ");
            assert_eq!(tokenizer.decode(ids.get_ids(), false).unwrap(), expected);
        }
    }

    #[test]
    fn special_tokens_have_their_ids() {
        let (_, tokenizer) = trained();
        for special in Special::ALL {
            assert_eq!(
                tokenizer.token_to_id(special.text()).map(i64::from),
                Some(special.id())
            );
        }
    }
}
