//! The one error type of libtorch plugins.

use std::path::{Path, PathBuf};

use medfocus_plugin_api as api;
use tch::TchError;

/// Result of everything here that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong between a checkpoint on disk and an answer. One sentence each: the thing, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An operation refused its input; libtorch's first line says why.
    #[error("libtorch refused an operation: {0}")]
    Torch(String),

    /// A file or folder of the checkpoint is missing or does not say what it must.
    #[error("{path}: {reason}", path = path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

    /// The configuration describes a model that cannot be run.
    #[error("the model configuration is not usable: {0}")]
    Config(String),

    /// The checkpoint is another architecture's.
    #[error("{0}")]
    Architecture(String),

    /// The weights are not those of the configuration.
    #[error("the checkpoint is not usable: {0}")]
    Checkpoint(String),

    /// The model needs a tensor that the weights do not hold.
    #[error(
        "tensor {name} is missing from {origin}: this is another model's checkpoint, or an incomplete copy"
    )]
    MissingTensor {
        /// Name of the tensor.
        name: String,
        /// Where it was looked for.
        origin: String,
    },

    /// A tensor is there in another shape than the configuration says.
    #[error(
        "tensor {name} in {origin} has shape {found:?} where the configuration needs {expected:?}"
    )]
    Shape {
        /// Name of the tensor.
        name: String,
        /// Where it was found.
        origin: String,
        /// Its shape.
        found: Vec<i64>,
        /// The shape the configuration implies.
        expected: Vec<i64>,
    },

    /// The device asked for cannot be used.
    #[error("{0}")]
    Device(String),

    /// The caller asked for something that does not exist.
    #[error("{0}")]
    Request(String),

    /// The caller stopped the work.
    #[error("cancelled")]
    Cancelled,
}

impl Error {
    /// A file or folder that cannot be read.
    pub fn unreadable(path: &Path, error: std::io::Error) -> Self {
        Self::File {
            path: path.to_owned(),
            reason: format!("cannot be read ({error})"),
        }
    }
}

impl From<TchError> for Error {
    /// Keeps the sentence of a libtorch error and drops the C++ stack below it.
    fn from(error: TchError) -> Self {
        let text = match error {
            TchError::Torch(text) => text,
            other => other.to_string(),
        };
        Self::Torch(text.lines().next().unwrap_or_default().trim().to_owned())
    }
}

impl From<Error> for api::Error {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error {
            Error::Cancelled => Self::cancelled(),
            Error::Request(_) | Error::Device(_) => Self::invalid(message),
            Error::File { .. }
            | Error::Config(_)
            | Error::Checkpoint(_)
            | Error::MissingTensor { .. }
            | Error::Shape { .. } => Self::missing(message),
            Error::Architecture(_) => Self::unsupported(message),
            Error::Torch(_) => Self::internal(message),
        }
    }
}
