//! The one error type of libtorch plugins.

use std::path::PathBuf;

use tch::TchError;

/// Result of everything here that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong between a checkpoint on disk and a running model.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An operation refused its input; libtorch's first line says why.
    #[error("libtorch refused an operation: {0}")]
    Torch(String),

    /// A file of the checkpoint cannot be read.
    #[error("cannot read {path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },

    /// A file of the checkpoint is there but is not what it should be.
    #[error("{path} is unusable: {reason}", path = path.display())]
    Malformed {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

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
