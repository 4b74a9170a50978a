//! One error type for everything that crosses the waist.

use serde::{Deserialize, Serialize};

/// The result of every fallible call of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, in terms a caller can act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// The caller's input cannot be used: a parameter, a box, an image, a question.
    Invalid,
    /// The component cannot do what was asked of it, with any input.
    Unsupported,
    /// Something that must be there is not: a slot, a file, a tensor.
    Missing,
    /// The user asked to stop.
    Cancelled,
    /// The plugin panicked; the host goes on.
    Panicked,
    /// The two sides do not understand each other's messages.
    Protocol,
    /// Anything else, kinds of later versions among them.
    #[serde(other)]
    Internal,
}

/// A failure: one sentence that names the thing, and, where there is one, what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{message}{}", hint.as_deref().map(|hint| format!("; {hint}")).unwrap_or_default())]
pub struct Error {
    /// What a caller can act on.
    pub kind: ErrorKind,
    /// One sentence without a full stop.
    pub message: String,
    /// What the user can do, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The parameter it is about, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

impl Error {
    /// An error of the given kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            hint: None,
            key: None,
        }
    }

    /// The caller's input cannot be used.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    /// The component cannot do this at all.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, message)
    }

    /// Something that must be there is not.
    pub fn missing(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Missing, message)
    }

    /// The two sides disagree about a message.
    pub fn protocol(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Protocol, message)
    }

    /// Anything else.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// The user asked to stop.
    pub fn cancelled() -> Self {
        Self::new(ErrorKind::Cancelled, "cancelled")
    }

    /// Adds what the user can do.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Names the parameter that is wrong, so that the host can say where it was set.
    #[must_use]
    pub fn with_key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Says where it happened, in front of the sentence.
    #[must_use]
    pub fn context(mut self, place: impl std::fmt::Display) -> Self {
        self.message = format!("{place}: {}", self.message);
        self
    }
}
