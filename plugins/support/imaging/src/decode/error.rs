//! What can be wrong with an image file, and which formats there are.

use std::fmt;

use super::{MAX_BYTES, MAX_PIXELS};

/// Why there is no image. Each message is one sentence and holds no content of the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The operating system says so.
    #[error("the image file cannot be read ({0}): check that it exists and is readable")]
    Io(#[from] std::io::Error),
    /// No known signature.
    #[error("the file is no PNG, JPEG, TIFF or DICOM image: convert it to one of these")]
    UnknownFormat,
    /// More than [`MAX_BYTES`].
    #[error("the file holds more than {} MiB: is it a single radiograph?", MAX_BYTES >> 20)]
    TooManyBytes,
    /// No pixels, or more than [`MAX_PIXELS`].
    #[error(
        "the image says it has {width} x {height} pixels, not between 1 and {MAX_PIXELS} in all: \
         check the file or reduce it first"
    )]
    Size {
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
    },
    /// The file breaks its own format.
    #[error("the {format} file is damaged or cut short ({detail}): copy or export it again")]
    Damaged {
        /// The file's format.
        format: Format,
        /// Where it went wrong.
        detail: &'static str,
    },
    /// A valid file that uses what is not implemented.
    #[error("{what} in a {format} file is not supported: {remedy}")]
    Unsupported {
        /// The file's format.
        format: Format,
        /// The feature.
        what: String,
        /// What to do.
        remedy: &'static str,
    },
}

/// A file format, recognised by its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Portable Network Graphics.
    Png,
    /// JPEG: baseline or progressive.
    Jpeg,
    /// Tagged Image File Format.
    Tiff,
    /// DICOM, with or without preamble.
    Dicom,
}

impl Format {
    pub(super) fn damaged(self, detail: &'static str) -> DecodeError {
        DecodeError::Damaged {
            format: self,
            detail,
        }
    }

    pub(super) fn unsupported(self, what: impl Into<String>, remedy: &'static str) -> DecodeError {
        DecodeError::Unsupported {
            format: self,
            what: what.into(),
            remedy,
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Png => "PNG",
            Self::Jpeg => "JPEG",
            Self::Tiff => "TIFF",
            Self::Dicom => "DICOM",
        })
    }
}
