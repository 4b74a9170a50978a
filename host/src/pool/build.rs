//! A pool from the normal images of a dataset.

use std::path::Path;

use medfocus_plugin_api::CONCEPTS;
use medfocus_plugin_api::{
    BBox, DatasetReader, Error, ErrorKind, Letterbox, Mask, Native, Result, Sample, SegmentRequest,
    Segmenter,
};
use ndarray::Array2;
use serde::Serialize;

use super::step;
use crate::{output::OutDir, plugin::Session, study::Study, workbench::Provenance};

/// Where the references come from.
pub struct Source<'a> {
    /// The dataset.
    pub reader: &'a dyn DatasetReader,
    /// What made it.
    pub provenance: Provenance,
    /// What refines each concept's box, and what made that.
    pub segmenter: Option<(&'a dyn Segmenter, Provenance)>,
}

/// What `pool.json` says.
#[derive(Clone, Debug, Serialize)]
pub struct Record {
    /// Program and version.
    pub tool: String,
    /// Name of the dataset.
    pub dataset: String,
    /// Its digest.
    pub digest: String,
    /// The component that read it, with its parameters.
    pub reader: Provenance,
    /// The component that refined the masks, if any.
    pub segmenter: Option<Provenance>,
    /// The references in their order.
    pub references: Vec<Origin>,
    /// Samples that were read for them.
    pub read: u64,
    /// Samples among them that could not be read.
    pub unreadable: u64,
}

/// Which sample a reference is.
#[derive(Clone, Debug, Serialize)]
pub struct Origin {
    /// Name of the reference.
    pub name: String,
    /// Number of the sample.
    pub index: u64,
}

/// Writes a pool of the first `count` samples that are normal and have a mask of every concept: whole, or not at all.
///
/// A segmenter is given the box of each concept on the working image; its region replaces the mask, unless it is empty.
///
/// # Errors
///
/// The place is taken, no sample fits, the user stopped it, or segmenter or disk fail.
pub fn build(source: &Source<'_>, count: u64, out: &Path, session: &Session) -> Result<Record> {
    let info = source.reader.info()?;
    let digits = info.len.saturating_sub(1).to_string().len();
    let mut record = Record {
        tool: format!("medfocus {}", env!("CARGO_PKG_VERSION")),
        dataset: info.name,
        digest: info.digest,
        reader: source.provenance.clone(),
        segmenter: source.segmenter.as_ref().map(|(_, made)| made.clone()),
        references: Vec::new(),
        read: 0,
        unreadable: 0,
    };
    OutDir::whole(out, |folder| {
        for index in 0..info.len {
            let found = record.references.len() as u64;
            if found == count {
                break;
            }
            step(session, found, count, "looking for normal images")?;
            record.read += 1;
            let mut sample = match source.reader.sample(index) {
                Ok(sample) => sample,
                Err(error) if error.kind == ErrorKind::Cancelled => return Err(error),
                Err(error) => {
                    tracing::warn!("passed over: {error}");
                    record.unreadable += 1;
                    continue;
                }
            };
            if !fits(&sample) {
                continue;
            }
            if let Some((segmenter, _)) = &source.segmenter {
                refine(&mut sample, *segmenter)
                    .map_err(|error| error.context(format!("sample {index}")))?;
            }
            let name = format!("{index:0digits$}");
            write(folder, &name, &sample)?;
            record.references.push(Origin { name, index });
        }
        if record.references.is_empty() {
            return Err(none(&record));
        }
        folder.json("pool.json", &record)?;
        step(session, count, count, "looking for normal images")
    })?;
    Ok(record)
}

fn none(record: &Record) -> Error {
    let Record {
        dataset,
        read,
        unreadable,
        ..
    } = record;
    Error::invalid(format!(
        "none of {read} samples of `{dataset}` is normal and has a mask of each of the {} concepts ({unreadable} could not be read)",
        CONCEPTS.len()
    ))
    .with_hint("take a dataset that says which images are normal and marks their anatomy; `phantom` does with `dataset.presence` = \"never\"")
}

/// Whether a sample can be a reference.
fn fits(sample: &Sample) -> bool {
    let size = (sample.image.width(), sample.image.height());
    let marked = |name| {
        let mask: Option<&Mask> = sample.masks.get(name);
        mask.is_some_and(|mask| mask.area() > 0 && (mask.width(), mask.height()) == size)
    };
    sample.is_normal() && CONCEPTS.into_iter().all(marked)
}

fn write(folder: &OutDir, name: &str, sample: &Sample) -> Result<()> {
    folder
        .within(&["images"])?
        .png_grey(&format!("{name}.png"), &sample.image)?;
    let masks = folder.within(&["masks", name])?;
    for concept in CONCEPTS {
        if let Some(mask) = sample.masks.get(concept) {
            masks.png_grey(&format!("{}.png", concept.replace(' ', "_")), mask.image())?;
        }
    }
    Ok(())
}

/// Replaces each concept's mask by what the segmenter makes of its box, if it finds something.
fn refine(sample: &mut Sample, segmenter: &dyn Segmenter) -> Result<()> {
    let study = Study::of(sample.image.clone())?;
    let boxes = CONCEPTS.iter().filter_map(|name| {
        let native: BBox<Native> = sample.masks.get(*name)?.tight_box()?;
        Some((*name, study.letterbox.to_working(&native)?))
    });
    let (names, boxes): (Vec<_>, Vec<_>) = boxes.unzip();
    let asked = boxes.len();
    let image = study.working;
    let segments = segmenter.segment(&SegmentRequest::new(image, boxes))?;
    if segments.len() != asked {
        return Err(Error::protocol(format!(
            "the segmenter answered {} times to {asked} boxes",
            segments.len()
        )));
    }
    for (name, segment) in names.into_iter().zip(segments) {
        let mask = to_native(&segment.mask, &study.letterbox)?;
        if mask.area() > 0 {
            sample.masks.insert(name.to_owned(), mask);
        }
    }
    Ok(())
}

/// The native pixels whose centre lies in a mask of the working image.
fn to_native(mask: &Mask, letterbox: &Letterbox) -> Result<Mask> {
    let side = letterbox.side;
    if (mask.width(), mask.height()) != (side, side) {
        return Err(Error::protocol(format!(
            "the segmenter's masks have {} x {} pixels, the image {side} x {side}",
            mask.width(),
            mask.height()
        )));
    }
    let working = mask.view();
    let (width, height) = letterbox.native;
    let centre = |at: usize, native: u32, scaled: u32, pad: u32| {
        // (at + 1/2) scaled / native + pad, rounded down.
        ((2 * at as u64 + 1) * u64::from(scaled) / (2 * u64::from(native))) as usize + pad as usize
    };
    let inside = Array2::from_shape_fn((height as usize, width as usize), |(y, x)| {
        let row = centre(y, height, letterbox.scaled.1, letterbox.top);
        let column = centre(x, width, letterbox.scaled.0, letterbox.left);
        working[(row, column)] != 0
    });
    Mask::from_array(inside.view())
}
