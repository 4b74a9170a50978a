//! How pixels are laid out, and the stored values of the first frame.

use std::{borrow::Cow, ops::RangeInclusive};

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use super::{
    super::{DecodeError, Format},
    coded::Coded,
    dataset::{Dataset, PixelData},
    layout::Layout,
};

impl Layout {
    pub fn of(dataset: &Dataset) -> Result<Self, DecodeError> {
        let integer = |tag: Tag, missing: &'static str| {
            let value = dataset
                .integer(tag)
                .filter(|&value| (0..=0xffff).contains(&value));
            value
                .map(|value| value as u32)
                .ok_or(Format::Dicom.damaged(missing))
        };
        let rows = integer(tags::ROWS, "it states no number of rows")? as usize;
        let columns = integer(tags::COLUMNS, "it states no number of columns")? as usize;
        let bits_allocated = integer(tags::BITS_ALLOCATED, "it states no sample size")?;
        let bits_stored = integer(tags::BITS_STORED, "").unwrap_or(bits_allocated);
        let high_bit = integer(tags::HIGH_BIT, "").unwrap_or(bits_stored.saturating_sub(1));
        let channels = integer(tags::SAMPLES_PER_PIXEL, "").unwrap_or(1) as usize;
        let photometric = dataset
            .keyword(tags::PHOTOMETRIC_INTERPRETATION)
            .ok_or(Format::Dicom.damaged("it states no photometric interpretation"))?;
        match photometric.as_str() {
            "MONOCHROME1" | "MONOCHROME2" if channels == 1 => {}
            "RGB" | "YBR_FULL" | "YBR_FULL_422" | "YBR_RCT" | "YBR_ICT"
                if channels == 3 && bits_allocated == 8 => {}
            _ => {
                return Err(Format::Dicom.unsupported(
                    "a pixel type other than grayscale and 8-bit RGB or YBR",
                    "convert it to MONOCHROME2 first",
                ));
            }
        }
        if bits_allocated != 8 && bits_allocated != 16 {
            return Err(Format::Dicom.unsupported(
                format!("{bits_allocated} bits allocated per sample"),
                "convert it to 8 or 16 bits first",
            ));
        }
        if bits_stored == 0 || high_bit >= bits_allocated || high_bit + 1 < bits_stored {
            return Err(Format::Dicom.damaged("its numbers of bits contradict each other"));
        }
        Ok(Self {
            rows,
            columns,
            channels,
            frames: dataset.integer(tags::NUMBER_OF_FRAMES).unwrap_or(1).max(1) as usize,
            bits_stored,
            signed: dataset.integer(tags::PIXEL_REPRESENTATION) == Some(1),
            inverted: photometric == "MONOCHROME1",
            photometric,
            bits_allocated,
            high_bit,
            planar: dataset.integer(tags::PLANAR_CONFIGURATION) == Some(1),
        })
    }

    /// The stored values that are padding; an empty range if none are.
    pub fn padding(&self, dataset: &Dataset) -> RangeInclusive<i32> {
        // Some writers give the value unsigned though the pixels are signed, or the other way round.
        let stored = |tag| {
            dataset
                .integer(tag)
                .map(|value| self.stored(value as usize & (self.values() - 1)))
        };
        match (
            stored(tags::PIXEL_PADDING_VALUE),
            stored(tags::PIXEL_PADDING_RANGE_LIMIT),
        ) {
            (Some(value), limit) => {
                let limit = limit.unwrap_or(value);
                value.min(limit)..=value.max(limit)
            }
            (None, _) => RangeInclusive::new(1, 0),
        }
    }
}

/// The first frame, its samples interleaved.
pub(super) fn decode(dataset: &Dataset, layout: &Layout) -> Result<Coded, DecodeError> {
    match &dataset.pixels {
        PixelData::Native(bytes) => native(bytes, layout),
        PixelData::Encapsulated { offsets, fragments } => {
            let frame = first_frame(offsets, fragments, layout.frames);
            dataset.transfer.codec.decode(&frame, layout)
        }
    }
}

fn native(bytes: &[u8], layout: &Layout) -> Result<Coded, DecodeError> {
    if layout.photometric == "YBR_FULL_422" {
        return Err(Format::Dicom.unsupported(
            "uncompressed YBR_FULL_422",
            "convert it to RGB or MONOCHROME2 first",
        ));
    }
    let count = layout.pixels() * layout.channels;
    let bytes = bytes
        .get(..count * layout.bytes_per_sample())
        .ok_or(Format::Dicom.damaged("its pixel data are too short"))?;
    let samples: Vec<u16> = if layout.bytes_per_sample() == 1 {
        bytes.iter().map(|&byte| byte.into()).collect()
    } else {
        let words = bytes.chunks_exact(2);
        words
            .map(|word| u16::from_le_bytes([word[0], word[1]]))
            .collect()
    };
    let samples = if layout.planar && layout.channels > 1 {
        let pixels = layout.pixels();
        (0..count)
            .map(|i| samples[i % layout.channels * pixels + i / layout.channels])
            .collect()
    } else {
        samples
    };
    Ok(Coded {
        luma_first: layout.photometric != "RGB",
        ..Coded::new(layout.rows, layout.columns, layout.channels, samples)
    })
}

/// The bytes of the first frame: all fragments of a single frame; else those before the second offset
/// of the offset table. Where there is no table, a frame is one fragment if there are as many, or else
/// ends with its end marker, which is the same in JPEG, JPEG-LS and JPEG 2000.
fn first_frame<'a>(offsets: &[u8], fragments: &'a [Vec<u8>], frames: usize) -> Cow<'a, [u8]> {
    // A byte may follow that makes the length even.
    let ends =
        |fragment: &Vec<u8>| fragment.ends_with(b"\xff\xd9") || fragment.ends_with(b"\xff\xd9\0");
    let count = match offsets.get(4..8).and_then(<[u8]>::first_chunk::<4>) {
        _ if frames == 1 => fragments.len(),
        Some(offset) => {
            let end = u32::from_le_bytes(*offset) as usize;
            // Offsets count the 8 bytes before each fragment.
            let starts = fragments.iter().scan(0, |start, fragment| {
                let this = *start;
                *start += fragment.len() + 8;
                Some(this)
            });
            starts.take_while(|&start| start < end).count()
        }
        None if fragments.len() <= frames => 1,
        None => fragments.iter().position(ends).map_or(1, |last| last + 1),
    };
    match fragments.get(..count).unwrap_or_default() {
        [single] => Cow::Borrowed(single),
        several => Cow::Owned(several.concat()),
    }
}
