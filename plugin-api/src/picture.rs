//! Image files, which the host decodes for its components.

use serde::{Deserialize, Serialize};

use crate::image::GrayImage;

/// The host's operation behind [`Context::decode`](crate::Context::decode): a tensor of bytes in, a [`Picture`] out.
pub const DECODE: &str = "decode";

/// The image of a PNG, JPEG, TIFF or DICOM file, as a viewer shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Picture {
    /// Its pixels at native size, bright = dense (bones bright, air dark).
    pub image: GrayImage,
    /// What the file was, for people: "DICOM MONOCHROME1 12-bit, window 40/400".
    pub source: String,
    /// What was ignored or guessed, one sentence each; holds nothing about the patient.
    pub warnings: Vec<String>,
    /// Whether an orientation tag turned it: other pictures of the same rows and columns may not lie as this one does.
    pub turned: bool,
}
