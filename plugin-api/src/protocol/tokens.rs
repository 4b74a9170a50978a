//! Tokens, and which of them count.

use serde::{Deserialize, Serialize};

/// A token of the model's vocabulary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Its number.
    pub id: u32,
    /// Its text, white space included.
    pub text: String,
}

/// Which tokens of the assistant's turn count as the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerSpan {
    /// The answer's own tokens.
    #[default]
    Answer,
    /// These and the tokens that close the turn, as the published code counts.
    Turn,
}
