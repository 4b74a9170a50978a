//! The files of one attribution, as `medfocus attribute` writes them and `medfocus serve` hands them out.

use std::io::{self, Write};

use image::RgbImage;
use medfocus_dicom::Object;
use medfocus_plugin_api::{Error, Result};
use ndarray::Ix3;

use crate::{
    attribute::{BoxRecord, Outcome},
    encode,
    evidence::Weighed,
    overlay::{self, NativeBox, Overlay},
    study::Study,
};

/// Name of the file with the record.
pub const RECORD: &str = "attribution.json";

/// A file that is not on any disk yet.
#[derive(Clone, Debug)]
pub struct File {
    /// Its name.
    pub name: &'static str,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// The picture of an outcome.
pub fn picture(study: &Study, outcome: &Outcome, method: &str, model: &str) -> RgbImage {
    let record = &outcome.record;
    let boxes: Vec<_> = record.boxes.iter().filter_map(in_native).collect();
    overlay::render(&Overlay {
        native: &study.native,
        letterbox: &study.letterbox,
        heat: outcome.heat.as_ref(),
        mask: outcome.mask.as_ref(),
        concepts: Weighed::of(&record.evidence).as_ref(),
        boxes: &boxes,
        question: &record.question,
        answer: &record.answer,
        method,
        model,
        notes: &record.warnings,
    })
}

/// All files of an outcome with its picture and the DICOM objects about it; the record is last, so that one that is written never names a file that is not
/// there.
///
/// # Errors
///
/// The token maps have another shape than (T, 224, 224).
pub fn of(outcome: &Outcome, picture: &RgbImage, objects: &[Object]) -> Result<Vec<File>> {
    let record = &outcome.record;
    let objects = objects.iter().map(|object| File {
        name: object.name,
        bytes: object.bytes.clone(),
    });
    let mut files: Vec<_> = objects.collect();
    if let (Some(heat), Some(name)) = (&outcome.heat, record.heatmap) {
        files.push(file(name, |out| encode::npy(out, heat.view()))?);
    }
    if let (Some(maps), Some(name)) = (&outcome.token_heat, record.token_heatmaps) {
        let maps = maps.view_nd::<f32, Ix3>()?;
        files.push(file(name, |out| encode::npy(out, maps))?);
    }
    files.push(file(record.overlay, |out| encode::png_rgb(out, picture))?);
    files.push(file(RECORD, |out| encode::json(out, record))?);
    Ok(files)
}

/// A file of whatever `fill` writes.
///
/// # Errors
///
/// It cannot be written in its format.
pub fn file(
    name: &'static str,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<File> {
    let mut bytes = Vec::new();
    fill(&mut bytes)
        .map_err(|error| Error::internal(format!("`{name}` cannot be made: {error}")))?;
    Ok(File { name, bytes })
}

/// A box as it is drawn; those in the padding are not.
fn in_native(found: &BoxRecord) -> Option<NativeBox> {
    Some(NativeBox {
        bbox: found.native?,
        score: found.score,
        label: found.label.clone(),
    })
}
