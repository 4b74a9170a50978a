//! What can go wrong in this backend.

use std::path::PathBuf;

use medfocus_torch::tch::TchError;

/// Result of everything here that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// One sentence each: the thing, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Weights, device or an operation.
    #[error(transparent)]
    Torch(#[from] medfocus_torch::Error),

    /// A file of the checkpoint folder is missing or does not say what it must.
    #[error("{path}: {reason}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

    /// The configuration describes a model that this backend cannot run.
    #[error("the model configuration is not usable: {0}")]
    Config(String),

    /// Question, answer or chat template.
    #[error("the prompt cannot be built: {0}")]
    Prompt(String),

    /// The caller asked for something that does not exist.
    #[error("{0}")]
    Request(String),

    /// The caller stopped the work.
    #[error("cancelled")]
    Cancelled,
}

impl From<TchError> for Error {
    fn from(error: TchError) -> Self {
        Self::Torch(error.into())
    }
}
