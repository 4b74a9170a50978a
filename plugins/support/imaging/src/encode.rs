//! PNG files as bytes.

use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};
use ndarray::{ArrayView2, ArrayView3};

/// Why an image cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// The last axis of a colour image is not red, green, blue.
    #[error("a colour image needs 3 channels in its last axis, got {0}")]
    Channels(usize),
    /// PNG can hold 1 to 2^31 - 1 rows and columns.
    #[error("an image of {width} x {height} pixels cannot be written as PNG")]
    Size {
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
    },
}

/// An 8-bit grayscale PNG of `pixels` (rows x columns).
///
/// # Errors
///
/// [`EncodeError::Size`] if an axis is empty or too long.
pub fn encode_png_gray(pixels: ArrayView2<'_, u8>) -> Result<Vec<u8>, EncodeError> {
    let bytes: Vec<u8> = pixels.iter().copied().collect();
    encode(&bytes, pixels.dim(), ExtendedColorType::L8)
}

/// An 8-bit RGB PNG of `pixels` (rows x columns x 3).
///
/// # Errors
///
/// [`EncodeError::Channels`] unless there are 3 channels; [`EncodeError::Size`] if an axis is empty
/// or too long.
pub fn encode_png_rgb(pixels: ArrayView3<'_, u8>) -> Result<Vec<u8>, EncodeError> {
    let (height, width, channels) = pixels.dim();
    if channels != 3 {
        return Err(EncodeError::Channels(channels));
    }
    let bytes: Vec<u8> = pixels.iter().copied().collect();
    encode(&bytes, (height, width), ExtendedColorType::Rgb8)
}

fn encode(
    bytes: &[u8],
    (height, width): (usize, usize),
    color: ExtendedColorType,
) -> Result<Vec<u8>, EncodeError> {
    let size = || EncodeError::Size { width, height };
    if width == 0 || height == 0 {
        return Err(size());
    }
    let columns = u32::try_from(width).map_err(|_| size())?;
    let rows = u32::try_from(height).map_err(|_| size())?;
    let mut png = Vec::new();
    // Writing to memory cannot fail, so what is left is a size that the format does not allow.
    PngEncoder::new(&mut png)
        .write_image(bytes, columns, rows, color)
        .map_err(|_| size())?;
    Ok(png)
}
