//! Image files that a component reads: decoded by the host in a process of its own, or here if this host decodes none, as in a test.

use std::io::Read;

use medfocus_plugin_api::{Context, Error, ErrorKind, GrayImage, Picture, Result};

use crate::decode::{self, DecodeError, Decoded};

/// The image in an open file.
///
/// # Errors
///
/// [`Error::invalid`] if it cannot be read, is too large, or holds no image that can be decoded.
pub fn read(context: &Context, file: impl Read) -> Result<Picture> {
    of(context, &decode::bytes(file).map_err(invalid)?)
}

/// The image in the bytes of a PNG, JPEG, TIFF or DICOM file.
///
/// # Errors
///
/// [`Error::invalid`] if they hold no image that can be decoded.
pub fn of(context: &Context, bytes: &[u8]) -> Result<Picture> {
    match context.decode(bytes) {
        Err(error) if error.kind == ErrorKind::Unsupported => here(bytes),
        answer => answer,
    }
}

/// The same, decoded in this process.
///
/// # Errors
///
/// Those of [`of`].
pub fn here(bytes: &[u8]) -> Result<Picture> {
    let Decoded {
        pixels,
        source,
        warnings,
        turned,
    } = decode::decode(bytes).map_err(invalid)?;
    Ok(Picture {
        image: GrayImage::from_array(pixels)?,
        source,
        warnings,
        turned,
    })
}

fn invalid(error: DecodeError) -> Error {
    Error::invalid(error.to_string())
}
