//! How questions ask to be answered.

use serde::{Deserialize, Serialize};

/// How the question asks to be answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Yes or no, without explanation.
    #[default]
    Direct,
    /// Step by step, then yes or no.
    Reasoning,
    /// Freely.
    Open,
}

impl Mode {
    /// Every mode.
    pub const ALL: [Self; 3] = [Self::Direct, Self::Reasoning, Self::Open];

    /// Its name in configs, records and tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Reasoning => "reasoning",
            Self::Open => "open",
        }
    }

    /// What is appended to a question (paper, section 5.1).
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Direct => " Answer directly with yes or no without any explanation.",
            Self::Reasoning => " Think step by step and answer with yes or no.",
            Self::Open => " Answer with a letter, word, phrase, or sentence.",
        }
    }
}
