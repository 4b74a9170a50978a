//! Image files as one 8-bit grayscale image of native size.
//!
//! The format is recognised by the content, never by a file name. What becomes of the values:
//!
//! - 8-bit images stay as they are; colour becomes luma as Pillow's `convert("L")` computes it;
//! - 16-bit and floating-point images are stretched from their minimum and maximum to 0..=255;
//! - DICOM images go through the stages of [the DICOM module](self#dicom).
//!
//! The orientation tag of EXIF and TIFF is applied: the image is what a viewer shows. Transparency is
//! ignored with a warning.
//!
//! # DICOM
//!
//! Stored values, modality transformation (rescale slope and intercept, or its lookup table), first
//! VOI window (or VOI lookup table), inversion of MONOCHROME1, stretch to 0..=255. Padding pixels
//! take no part in the stretch and become black. Only the elements that these steps need are
//! read: nothing that could name the patient is ever decoded. Of a multi-frame file the first frame is taken.

mod dicom;
mod error;
mod jpeg;
mod orientation;
mod raster;
mod tone;

use std::{
    io::Read,
    panic::{AssertUnwindSafe, catch_unwind},
};

use ndarray::Array2;

pub use error::{DecodeError, Format};

/// The most pixels an image may have (8192 x 8192): four times a large radiograph.
pub const MAX_PIXELS: usize = 1 << 26;

/// The most bytes a file, or what it inflates to, may have.
pub const MAX_BYTES: usize = 1 << 28;

/// A decoded image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// Grayscale, rows x columns, bright = dense (bones bright, air dark).
    pub pixels: Array2<u8>,
    /// What the file was, for people: "DICOM MONOCHROME1 12-bit, window 40/400".
    pub source: String,
    /// What was ignored or guessed, one sentence each; holds nothing about the patient.
    pub warnings: Vec<String>,
    /// Whether an orientation tag turned it: other pictures of the same rows and columns may not lie as this one does.
    pub turned: bool,
}

impl Format {
    /// The format of a file that starts with `bytes`.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        const TIFF: [&[u8]; 4] = [b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"];
        // First of all DICOM's own magic: before it a file may hold anything, such as a TIFF header.
        if dicom::has_preamble(bytes) {
            Some(Self::Dicom)
        } else if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
            Some(Self::Png)
        } else if bytes.starts_with(b"\xff\xd8\xff") {
            Some(Self::Jpeg)
        } else if TIFF.iter().any(|magic| bytes.starts_with(magic)) {
            Some(Self::Tiff)
        } else {
            dicom::looks_headless(bytes).then_some(Self::Dicom)
        }
    }
}

/// The bytes of an open file.
///
/// # Errors
///
/// [`DecodeError::Io`] if it cannot be read, [`DecodeError::TooManyBytes`] if no image is that large.
pub fn bytes(file: impl Read) -> Result<Vec<u8>, DecodeError> {
    let mut bytes = Vec::new();
    let limit = MAX_BYTES as u64 + 1;
    file.take(limit).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_BYTES {
        return Err(DecodeError::TooManyBytes);
    }
    Ok(bytes)
}

/// The image in an open file.
///
/// # Errors
///
/// Those of [`bytes`] and [`decode`].
pub fn read(file: impl Read) -> Result<Decoded, DecodeError> {
    decode(&bytes(file)?)
}

/// The image in the bytes of a PNG, JPEG, TIFF or DICOM file.
///
/// # Errors
///
/// A [`DecodeError`] if the format is unknown, the file damaged or cut short, the image too large
/// or coded in an unsupported way. A decoder that panics counts as a damaged file.
pub fn decode(bytes: &[u8]) -> Result<Decoded, DecodeError> {
    if bytes.len() > MAX_BYTES {
        return Err(DecodeError::TooManyBytes);
    }
    let format = Format::of(bytes).ok_or(DecodeError::UnknownFormat)?;
    catch_unwind(AssertUnwindSafe(|| match format {
        Format::Png => raster::png(bytes),
        Format::Jpeg => raster::jpeg(bytes),
        Format::Tiff => raster::tiff(bytes),
        Format::Dicom => dicom::decode(bytes),
    }))
    .unwrap_or_else(|_| Err(format.damaged("its decoder gave up")))
}

/// Refuses sizes that no chest image has, before anything is allocated for them.
fn check_size(height: usize, width: usize) -> Result<(), DecodeError> {
    if height == 0 || width == 0 || height.saturating_mul(width) > MAX_PIXELS {
        return Err(DecodeError::Size { height, width });
    }
    Ok(())
}
