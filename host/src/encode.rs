//! The formats of results, as bytes.

use std::io::{self, Write};

use image::{
    ExtendedColorType, ImageEncoder, ImageError, RgbImage, RgbaImage, codecs::png::PngEncoder,
};
use medfocus_plugin_api::GrayImage;
use ndarray::{ArrayView, Dimension};
use ndarray_npy::{WriteNpyError, WriteNpyExt};
use serde::Serialize;

/// JSON for people to read.
///
/// # Errors
///
/// The value cannot be said in JSON, or `out` fails.
pub fn json(out: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    out.write_all(b"\n")
}

/// A NumPy `.npy` file of f32.
///
/// # Errors
///
/// `out` fails.
pub fn npy<D: Dimension>(out: &mut dyn Write, values: ArrayView<'_, f32, D>) -> io::Result<()> {
    values.write_npy(out).map_err(|error| match error {
        WriteNpyError::Io(error) => error,
        other => io::Error::other(other),
    })
}

/// A colour picture as PNG.
///
/// # Errors
///
/// `out` fails.
pub fn png_rgb(out: &mut dyn Write, image: &RgbImage) -> io::Result<()> {
    png(out, image, image.dimensions(), ExtendedColorType::Rgb8)
}

/// A colour picture that other pictures show through, as PNG.
///
/// # Errors
///
/// `out` fails.
pub fn png_rgba(out: &mut dyn Write, image: &RgbaImage) -> io::Result<()> {
    png(out, image, image.dimensions(), ExtendedColorType::Rgba8)
}

/// A grey image as PNG.
///
/// # Errors
///
/// `out` fails.
pub fn png_grey(out: &mut dyn Write, image: &GrayImage) -> io::Result<()> {
    let size = (image.width(), image.height());
    png(out, image.bytes(), size, ExtendedColorType::L8)
}

fn png(
    out: &mut dyn Write,
    pixels: &[u8],
    (width, height): (u32, u32),
    colour: ExtendedColorType,
) -> io::Result<()> {
    PngEncoder::new(out)
        .write_image(pixels, width, height, colour)
        .map_err(|error| match error {
            ImageError::IoError(error) => error,
            other => io::Error::other(other),
        })
}
