//! PNG, JPEG and TIFF.

use std::io::Cursor;

use image::{DynamicImage, ImageDecoder, Limits, codecs::png::PngDecoder, metadata::Orientation};
use ndarray::Array2;
use tiff::{ColorType, decoder::DecodingResult, tags::Tag};

use super::{
    DecodeError, Decoded, Format, check_size,
    jpeg::{Colour, Jpeg},
    orientation,
    tone::{Range, luma_wide, luma8},
};

pub(super) fn png(bytes: &[u8]) -> Result<Decoded, DecodeError> {
    let decoder = PngDecoder::with_limits(Cursor::new(bytes), Limits::default())
        .map_err(|_| Format::Png.damaged("its header"))?;
    with_decoder(Format::Png, decoder)
}

pub(super) fn jpeg(bytes: &[u8]) -> Result<Decoded, DecodeError> {
    let format = Format::Jpeg;
    let jpeg = Jpeg::new(bytes, format)?;
    let (size, channels) = ((jpeg.rows(), jpeg.columns()), jpeg.channels());
    check_size(size.0, size.1)?;
    let samples = jpeg.decode(jpeg.colour().unwrap_or(Colour::YCbCr))?;
    let kind = if channels == 1 { "gray" } else { "RGB" };
    let decoded = if jpeg.bits() == 8 {
        let levels: Vec<u8> = samples.iter().map(|&sample| sample as u8).collect();
        narrow(format, kind, &levels, channels, size)
    } else {
        let kind = format!("{}-bit {kind}", jpeg.bits());
        wide(format, &kind, &samples, channels, size)
    }?;
    let turn = jpeg.exif().and_then(Orientation::from_exif_chunk);
    let turn = turn.map_or(1, Orientation::to_exif);
    Ok(orientation::apply(decoded, turn.into()))
}

fn with_decoder(format: Format, mut decoder: impl ImageDecoder) -> Result<Decoded, DecodeError> {
    let (width, height) = decoder.dimensions();
    let size = (height as usize, width as usize);
    check_size(size.0, size.1)?;
    // An image whose metadata cannot be read is shown as it is stored.
    let turn = decoder.orientation().map_or(1, |turn| turn.to_exif());
    let image =
        DynamicImage::from_decoder(decoder).map_err(|_| format.damaged("its pixel data"))?;
    let decoded = match &image {
        DynamicImage::ImageLuma8(i) => narrow(format, "gray", i.as_raw(), 1, size),
        DynamicImage::ImageLumaA8(i) => narrow(format, "gray", i.as_raw(), 2, size),
        DynamicImage::ImageRgb8(i) => narrow(format, "RGB", i.as_raw(), 3, size),
        DynamicImage::ImageRgba8(i) => narrow(format, "RGB", i.as_raw(), 4, size),
        DynamicImage::ImageLuma16(i) => wide(format, "16-bit gray", i.as_raw(), 1, size),
        DynamicImage::ImageLumaA16(i) => wide(format, "16-bit gray", i.as_raw(), 2, size),
        DynamicImage::ImageRgb16(i) => wide(format, "16-bit RGB", i.as_raw(), 3, size),
        DynamicImage::ImageRgba16(i) => wide(format, "16-bit RGB", i.as_raw(), 4, size),
        _ => Err(format.unsupported("this pixel type", "convert it to 8 or 16 bits gray")),
    }?;
    Ok(orientation::apply(decoded, turn.into()))
}

/// `Compression` of strips or tiles that are JPEG streams (TIFF Technical Note 2).
const JPEG_IN_TIFF: u16 = 7;

/// Refuses a TIFF file one of whose JPEG streams is damaged or ends early, which its decoder fills with grey. The streams have
/// their tables in a tag of their own.
fn check_jpeg(decoder: &mut TiffDecoder<'_>, bytes: &[u8]) -> Result<(), DecodeError> {
    let damaged = || Format::Tiff.damaged("its JPEG data");
    let tables = decoder.get_tag_u8_vec(Tag::JPEGTables).unwrap_or_default();
    let tables = tables.strip_suffix(b"\xff\xd9").unwrap_or(&tables);
    let mut numbers = |strips, tiles| {
        [strips, tiles]
            .into_iter()
            .find_map(|tag| decoder.find_tag_unsigned_vec::<u64>(tag).ok().flatten())
            .ok_or_else(damaged)
    };
    let offsets = numbers(Tag::StripOffsets, Tag::TileOffsets)?;
    let lengths = numbers(Tag::StripByteCounts, Tag::TileByteCounts)?;
    for (offset, length) in offsets.into_iter().zip(lengths) {
        let range = offset as usize..offset.saturating_add(length) as usize;
        let stream = bytes.get(range).ok_or_else(damaged)?;
        let stream = match stream.strip_prefix(b"\xff\xd8") {
            Some(rest) if !tables.is_empty() => [tables, rest].concat(),
            _ => stream.to_vec(),
        };
        Jpeg::new(&stream, Format::Tiff)?.check()?;
    }
    Ok(())
}

type TiffDecoder<'a> = tiff::decoder::Decoder<Cursor<&'a [u8]>>;

pub(super) fn tiff(bytes: &[u8]) -> Result<Decoded, DecodeError> {
    let format = Format::Tiff;
    let mut decoder =
        TiffDecoder::new(Cursor::new(bytes)).map_err(|_| format.damaged("its header"))?;
    let (width, height) = decoder
        .dimensions()
        .map_err(|_| format.damaged("its dimensions"))?;
    let size = (height as usize, width as usize);
    check_size(size.0, size.1)?;
    let color = decoder
        .colortype()
        .map_err(|_| format.unsupported("this colour type", "convert it to gray"))?;
    let (name, channels) = match color {
        ColorType::Gray(8 | 16 | 32 | 64) => ("gray", 1),
        ColorType::GrayA(8 | 16 | 32 | 64) => ("gray", 2),
        ColorType::RGB(8 | 16 | 32 | 64) => ("RGB", 3),
        ColorType::RGBA(8 | 16 | 32 | 64) => ("RGB", 4),
        _ => {
            return Err(format.unsupported(
                format!("the pixel type {color:?}"),
                "convert it to 8 or 16 bits gray",
            ));
        }
    };
    let stated =
        |decoder: &mut TiffDecoder<'_>, tag| decoder.find_tag_unsigned::<u16>(tag).ok().flatten();
    if stated(&mut decoder, Tag::FillOrder) == Some(2) {
        return Err(
            format.unsupported("FillOrder 2 (reversed bits)", "save it without compression")
        );
    }
    let white_is_zero = stated(&mut decoder, Tag::PhotometricInterpretation) == Some(0);
    let sample_format = decoder.find_tag_unsigned_vec::<u16>(Tag::SampleFormat);
    let sample_format = sample_format.ok().flatten().unwrap_or_default();
    if white_is_zero && sample_format.first() == Some(&2) {
        let what = "WhiteIsZero (inverted gray) of signed samples";
        return Err(format.unsupported(what, "save it as BlackIsZero or unsigned"));
    }
    let turn = stated(&mut decoder, Tag::Orientation).unwrap_or(1);
    if stated(&mut decoder, Tag::Compression) == Some(JPEG_IN_TIFF) {
        check_jpeg(&mut decoder, bytes)?;
    }
    let pages = decoder.more_images();
    let mut limits = tiff::decoder::Limits::default();
    limits.decoding_buffer_size = 1 << 30;
    let samples = decoder
        .with_limits(limits)
        .read_image()
        .map_err(|error| match error {
            tiff::TiffError::UnsupportedError(_) => {
                format.unsupported("this compression or layout", "save it without compression")
            }
            _ => format.damaged("its pixel data"),
        })?;
    let named = |kind: &str| format!("{}-bit {kind}{name}", color.bit_depth());
    let integer = |values: Vec<f64>| wide(format, &named(""), &values, channels, size);
    let mut decoded = match samples {
        DecodingResult::U8(v) => narrow(format, name, &v, channels, size),
        DecodingResult::U16(v) => wide(format, &named(""), &v, channels, size),
        DecodingResult::U32(v) => wide(format, &named(""), &v, channels, size),
        DecodingResult::I8(v) => wide(format, &named("signed "), &v, channels, size),
        DecodingResult::I16(v) => wide(format, &named("signed "), &v, channels, size),
        DecodingResult::I32(v) => wide(format, &named("signed "), &v, channels, size),
        DecodingResult::U64(v) => integer(v.into_iter().map(|x| x as f64).collect()),
        DecodingResult::I64(v) => integer(v.into_iter().map(|x| x as f64).collect()),
        DecodingResult::F16(v) => {
            let v: Vec<f32> = v.into_iter().map(f32::from).collect();
            wide(format, &named("float "), &v, channels, size)
        }
        DecodingResult::F32(v) => wide(format, &named("float "), &v, channels, size),
        DecodingResult::F64(v) => wide(format, &named("float "), &v, channels, size),
    }?;
    if pages {
        decoded
            .warnings
            .push("the file has several pages: only the first is used".into());
    }
    Ok(orientation::apply(decoded, turn))
}

/// An image of 8-bit samples, interleaved: levels as they are.
fn narrow(
    format: Format,
    kind: &str,
    samples: &[u8],
    channels: usize,
    size: (usize, usize),
) -> Result<Decoded, DecodeError> {
    let levels = samples.chunks_exact(channels).map(luma8).collect();
    Ok(Decoded {
        pixels: shaped(format, levels, size)?,
        source: format!("{format} 8-bit {kind}"),
        warnings: transparency(samples, channels).into_iter().collect(),
        turned: false,
    })
}

/// An image of wider samples: stretched. Levels are cut to integers, as the published reader does.
fn wide<T: Copy + Into<f64> + PartialEq>(
    format: Format,
    kind: &str,
    samples: &[T],
    channels: usize,
    size: (usize, usize),
) -> Result<Decoded, DecodeError> {
    let luma = || samples.chunks_exact(channels).map(luma_wide);
    let mut warnings: Vec<String> = transparency(samples, channels).into_iter().collect();
    let levels = match Range::of(luma()) {
        Some(range) => {
            if range.is_constant() {
                warnings.push("the image is constant: all of it becomes black".into());
            }
            luma().map(|value| range.level(value) as u8).collect()
        }
        None => return Err(format.damaged("no pixel has a finite value")),
    };
    Ok(Decoded {
        pixels: shaped(format, levels, size)?,
        source: format!("{format} {kind}"),
        warnings,
        turned: false,
    })
}

fn shaped(
    format: Format,
    levels: Vec<u8>,
    size: (usize, usize),
) -> Result<Array2<u8>, DecodeError> {
    Array2::from_shape_vec(size, levels)
        .map_err(|_| format.unsupported("this sample layout", "save it with interleaved samples"))
}

/// A warning if the alpha channel, where there is one, says anything.
fn transparency<T: Copy + PartialEq>(samples: &[T], channels: usize) -> Option<String> {
    let mut alpha = samples
        .chunks_exact(channels)
        .map(|pixel| pixel[channels - 1]);
    let first = alpha.next()?;
    (channels.is_multiple_of(2) && alpha.any(|a| a != first))
        .then(|| "transparency is ignored: the colours below it are used".into())
}
