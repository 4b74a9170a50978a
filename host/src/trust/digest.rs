//! A digest as people write it into a trust file.

use serde::Deserialize;

/// `blake3:` and 64 hex digits, as `medfocus plugins check` prints it. One that is mistyped would match nothing, and is refused.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Digest(String);

impl Digest {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Digest {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let hex = text.strip_prefix("blake3:").unwrap_or_default();
        let digit = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        if hex.len() == 64 && hex.chars().all(digit) {
            return Ok(Self(text));
        }
        Err(format!(
            "`{text}` is no digest; write `blake3:` and 64 hex digits, as `medfocus plugins check` prints them"
        ))
    }
}
