//! The gallery: samples with the pictures that the run left in the result folder.

use std::{fs, path::Path};

use base64::{Engine, prelude::BASE64_STANDARD};
use image::{ExtendedColorType, ImageEncoder, ImageFormat, codecs::jpeg::JpegEncoder};

use crate::experiment::{
    plan::{Cell, Plan, slug},
    record::{MethodResult, Outcome, Record, Subject},
    results::Results,
};

/// JPEG quality at which thin coloured lines stay clean; a picture takes some 20 kB.
const QUALITY: u8 = 85;

/// A sample to show.
pub struct Exhibit<'a> {
    /// The sample.
    pub record: &'a Record,
    /// What was asked and answered.
    pub subject: &'a Subject,
    /// The image with the annotated regions, as a `data:` address.
    pub image: String,
    /// The methods whose pictures are there, the controls last.
    pub results: Vec<(&'a MethodResult, String)>,
}

/// The samples to show.
pub struct Gallery<'a> {
    /// In the order of the plan.
    pub exhibits: Vec<Exhibit<'a>>,
    /// Whether there are more in the folder.
    pub more: bool,
}

/// Collects samples until they have `limit` pictures; then each cell shows its first ones.
pub fn gallery<'a>(results: &'a Results, folder: &Path, limit: usize) -> Gallery<'a> {
    let cells = &results.plan.cells;
    let mut waiting: Vec<_> = cells.iter().map(|cell| shown(cell, results)).collect();
    let (mut found, mut pictures) = (Vec::new(), 0);
    loop {
        let turn: Vec<_> = (waiting.iter_mut().enumerate())
            .filter_map(|(at, records)| Some((at, records.next()?)))
            .collect();
        if turn.is_empty() {
            return in_order(found, false);
        }
        for (at, record) in turn {
            let Some(exhibit) = exhibit(&results.plan, &cells[at], record, folder) else {
                continue;
            };
            pictures += 1 + exhibit.results.len();
            if pictures > limit {
                return in_order(found, true);
            }
            found.push((at, exhibit));
        }
    }
}

fn in_order(mut found: Vec<(usize, Exhibit<'_>)>, more: bool) -> Gallery<'_> {
    found.sort_by_key(|(cell, exhibit)| (*cell, exhibit.record.case.index));
    Gallery {
        exhibits: found.into_iter().map(|(_, exhibit)| exhibit).collect(),
        more,
    }
}

/// The records of a cell that may have pictures.
fn shown<'a>(cell: &'a Cell, results: &'a Results) -> impl Iterator<Item = &'a Record> {
    let limit = results.plan.experiment.gallery;
    results.records.iter().filter(move |record| {
        let case = &record.case;
        let same = case.dataset == cell.dataset && case.model == cell.model;
        same && case.mode == cell.mode && case.index < limit
    })
}

fn exhibit<'a>(plan: &Plan, cell: &Cell, record: &'a Record, folder: &Path) -> Option<Exhibit<'a>> {
    let Outcome::Attributed { results } = &record.outcome else {
        return None;
    };
    let index = record.case.index.to_string();
    let folder = folder.join("gallery").join(cell.slug()).join(index);
    let results = results.iter().filter_map(|result| {
        let picture = picture(&folder.join(format!("{}.png", slug(&result.method))))?;
        Some((result, picture))
    });
    let mut results: Vec<_> = results.collect();
    results.sort_by_key(|(result, _)| plan.place(&result.method));
    Some(Exhibit {
        record,
        subject: record.subject.as_ref()?,
        image: picture(&folder.join("image.png"))?,
        results,
    })
}

/// A picture file as a `data:` address; nothing if it is not there or no picture.
fn picture(path: &Path) -> Option<String> {
    let bytes = fs::read(path).ok()?;
    let image = image::load_from_memory_with_format(&bytes, ImageFormat::Png)
        .ok()?
        .into_rgb8();
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, QUALITY)
        .write_image(
            &image,
            image.width(),
            image.height(),
            ExtendedColorType::Rgb8,
        )
        .ok()?;
    Some(format!(
        "data:image/jpeg;base64,{}",
        BASE64_STANDARD.encode(jpeg)
    ))
}
