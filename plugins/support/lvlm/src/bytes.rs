//! Tokens that stand for bytes, of which several may make one character.

use std::collections::HashMap;

use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{DecoderWrapper, Tokenizer};

/// The bytes of tokens, by id.
#[derive(Debug)]
pub(crate) struct Bytes(HashMap<u32, Vec<u8>>);

impl Bytes {
    /// Of a byte-level vocabulary (GPT-2, Qwen) every token; of one that falls back to bytes (Gemma) the 256 tokens `<0x00>` to
    /// `<0xFF>`.
    pub fn new(tokenizer: &Tokenizer) -> Self {
        let level = matches!(tokenizer.get_decoder(), Some(DecoderWrapper::ByteLevel(_)));
        let letters = level.then(letters);
        let bytes = |token: &str| match &letters {
            Some(letters) => token.chars().map(|c| letters.get(&c).copied()).collect(),
            None => {
                let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
                u8::from_str_radix(digits, 16).ok().map(|byte| vec![byte])
            }
        };
        let tokens = tokenizer.get_vocab(true).into_iter();
        Self(
            tokens
                .filter_map(|(token, id)| Some((id, bytes(&token)?)))
                .collect(),
        )
    }

    /// The bytes of this token, if it stands for bytes.
    pub fn of(&self, id: u32) -> Option<Vec<u8>> {
        self.0.get(&id).cloned()
    }
}

/// The byte of each letter of a byte-level vocabulary: itself where it can be seen, the others from U+0100 on in their order.
fn letters() -> HashMap<char, u8> {
    let alphabet = ByteLevel::alphabet();
    let mut others = (0x100..).filter_map(char::from_u32);
    (0..=u8::MAX)
        .filter_map(|byte| match char::from(byte) {
            seen if alphabet.contains(&seen) => Some((seen, byte)),
            _ => others.next().map(|letter| (letter, byte)),
        })
        .collect()
}

/// The text of each of these bytes: a character where its last byte is.
pub(crate) fn shown(bytes: &[u8]) -> Vec<String> {
    let mut texts = Vec::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            texts.extend((1..character.len_utf8()).map(|_| String::new()));
            texts.push(character.to_string());
        }
        let replaced = char::REPLACEMENT_CHARACTER.to_string();
        texts.extend(chunk.invalid().iter().map(|_| replaced.clone()));
    }
    texts
}
