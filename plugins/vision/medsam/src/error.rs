//! What can go wrong in this segmenter.

use std::path::PathBuf;

use medfocus_plugin_api as api;
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

    /// The configuration describes a model that this segmenter cannot run.
    #[error("the model configuration is not usable: {0}")]
    Config(String),

    /// The weights are not those of the configuration.
    #[error("the checkpoint is not usable: {0}")]
    Checkpoint(String),

    /// The caller stopped the work.
    #[error("cancelled")]
    Cancelled,
}

impl From<TchError> for Error {
    fn from(error: TchError) -> Self {
        Self::Torch(error.into())
    }
}

impl From<Error> for api::Error {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error {
            Error::Cancelled => Self::cancelled(),
            Error::File { .. } | Error::Config(_) | Error::Checkpoint(_) => Self::missing(message),
            Error::Torch(_) => Self::internal(message),
        }
    }
}
