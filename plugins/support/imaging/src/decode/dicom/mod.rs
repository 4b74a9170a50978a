//! DICOM: from stored values to gray levels.

mod codec;
mod coded;
mod dataset;
mod elements;
mod frame;
mod geometry;
mod jpeg2000;
mod layout;
mod rle;
mod voi;

use std::ops::RangeInclusive;

use ndarray::Array2;

use self::{
    coded::Coded,
    dataset::Dataset,
    layout::Layout,
    voi::{Modality, Voi},
};
use super::{
    DecodeError, Decoded, Format, check_size,
    tone::{Range, luma8},
};

pub(super) use dataset::{has_preamble, looks_headless};

/// The image in a DICOM file, its first frame if there are several.
pub(super) fn decode(bytes: &[u8]) -> Result<Decoded, DecodeError> {
    let mut dataset = Dataset::read(bytes)?;
    let mut layout = Layout::of(&dataset)?;
    check_size(layout.rows, layout.columns)?;
    let mut warnings = std::mem::take(&mut dataset.warnings);
    if layout.frames > 1 {
        warnings.push(format!(
            "the file has {} frames: only the first is used",
            layout.frames
        ));
    }
    warnings.extend(geometry::warnings(&dataset));
    let frame = frame::decode(&dataset, &layout)?;
    if frame.signed && !layout.signed {
        warnings.push(
            "PixelRepresentation says unsigned, the compressed frame signed, which is taken".into(),
        );
        layout.signed = true;
    }
    if frame.mislabelled {
        warnings.push(format!(
            "PhotometricInterpretation says {}, the markers of the compressed frame another, which is taken",
            layout.photometric
        ));
    }
    let transfer = dataset.transfer.name;
    if layout.channels == 3 {
        return colour(&frame, &layout, transfer, warnings);
    }
    let modality = Modality::of(&dataset, &layout, &mut warnings);
    let voi = Voi::of(&dataset, &layout, &modality, &mut warnings);
    let padding = layout.padding(&dataset);
    let tones = Tones::new(padding, &layout, &frame, (&modality, &voi), &mut warnings)?;
    let levels = frame
        .samples
        .iter()
        .map(|&word| tones.0[layout.index(word)]);
    let kind = if layout.inverted { 1 } else { 2 };
    Ok(Decoded {
        pixels: shaped(levels.collect(), &layout)?,
        source: format!(
            "DICOM MONOCHROME{kind} {}-bit, {transfer}{voi}",
            layout.bits_stored
        ),
        warnings,
        turned: false,
    })
}

/// Luma of an 8-bit colour image; windows are not defined for these.
fn colour(
    frame: &Coded,
    layout: &Layout,
    transfer: &str,
    warnings: Vec<String>,
) -> Result<Decoded, DecodeError> {
    let levels = frame.samples.chunks_exact(3).map(|pixel| {
        let pixel = [pixel[0], pixel[1], pixel[2]].map(|word| word.min(255) as u8);
        if frame.luma_first {
            pixel[0]
        } else {
            luma8(&pixel)
        }
    });
    Ok(Decoded {
        pixels: shaped(levels.collect(), layout)?,
        source: format!("DICOM colour 8-bit, {transfer}"),
        warnings,
        turned: false,
    })
}

fn shaped(levels: Vec<u8>, layout: &Layout) -> Result<Array2<u8>, DecodeError> {
    Array2::from_shape_vec((layout.rows, layout.columns), levels)
        .map_err(|_| Format::Dicom.damaged("its pixel data"))
}

/// The gray level of every possible stored value: each stage works on single pixels, so that one
/// table of at most 2^16 entries stands for all of them.
struct Tones(Vec<u8>);

impl Tones {
    fn new(
        padding: RangeInclusive<i32>,
        layout: &Layout,
        frame: &Coded,
        (modality, voi): (&Modality, &Voi),
        warnings: &mut Vec<String>,
    ) -> Result<Self, DecodeError> {
        let mut shown = vec![false; layout.values()];
        for &word in &frame.samples {
            shown[layout.index(word)] = true;
        }
        for (index, shown) in shown.iter_mut().enumerate() {
            *shown &= !padding.contains(&layout.stored(index));
        }
        let sign = if layout.inverted { -1.0 } else { 1.0 };
        let through = |voi: &Voi| -> Vec<f64> {
            (0..layout.values())
                .map(|index| sign * voi.apply(modality.apply(layout.stored(index))))
                .collect()
        };
        let range_of = |values: &[f64]| {
            let shown = shown.iter().zip(values).filter(|(shown, _)| **shown);
            Range::of(shown.map(|(_, &value)| value))
        };
        let mut values = through(voi);
        let mut range = range_of(&values);
        if range.is_some_and(Range::is_constant) && !matches!(voi, Voi::None) {
            values = through(&Voi::None);
            range = range_of(&values);
            if range.is_some_and(|range| !range.is_constant()) {
                warnings.push("the VOI window shows nothing of the image and is ignored".into());
            }
        }
        let range = range.ok_or(Format::Dicom.damaged("every pixel is padding"))?;
        if range.is_constant() {
            warnings.push("the image is constant: all of it becomes black".into());
        }
        let level = |(index, &value): (usize, &f64)| {
            if padding.contains(&layout.stored(index)) {
                0
            } else {
                range.level(value).round_ties_even() as u8
            }
        };
        Ok(Self(values.iter().enumerate().map(level).collect()))
    }
}
