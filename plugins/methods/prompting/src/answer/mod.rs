//! What a model's answer says, read tolerantly: lists of boxes and lists of phrases.

mod boxes;
mod lexer;
mod phrases;

pub use boxes::{BoxList, MAX_BOXES, RawBox};
pub use phrases::{MAX_PHRASES, PhraseList};

/// Phrases and labels are cut to this many characters.
pub const MAX_PHRASE: usize = 200;

/// Keys of objects whose text says what is meant.
const NAME_KEYS: [&str; 5] = ["label", "name", "description", "region", "object"];

/// How an answer was understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It lists evidence.
    Listed,
    /// It says that there is no evidence: an empty list.
    None,
    /// It is no such list.
    Unreadable,
}
