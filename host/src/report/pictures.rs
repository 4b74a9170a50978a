//! The gallery: samples with the pictures that the run left in the result folder.

use std::{fs, path::Path};

use base64::{Engine, prelude::BASE64_STANDARD};
use image::{ExtendedColorType, ImageEncoder, ImageFormat, codecs::jpeg::JpegEncoder};

use crate::{
    causal::{gate::Role, record::Counterfactual},
    experiment::{
        plan::{Cell, slug},
        record::{MethodResult, Outcome, Record, Subject},
        results::{self, Results},
    },
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
    /// What the causal filter showed the model, where its pictures are there.
    pub edits: Vec<(Role, &'a Counterfactual, String)>,
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
    let each = results.plan.experiment.gallery as usize;
    let mut waiting: Vec<_> = cells
        .iter()
        .map(|cell| {
            let records = of_cell(cell, results);
            let exhibits = records.filter_map(|record| exhibit(results, cell, record, folder));
            exhibits.take(each)
        })
        .collect();
    let (mut found, mut pictures) = (Vec::new(), 0);
    loop {
        let turn: Vec<_> = (waiting.iter_mut().enumerate())
            .filter_map(|(at, exhibits)| Some((at, exhibits.next()?)))
            .collect();
        if turn.is_empty() {
            return in_order(found, false);
        }
        for (at, exhibit) in turn {
            pictures += 1 + exhibit.edits.len() + exhibit.results.len();
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

fn of_cell<'a>(cell: &'a Cell, results: &'a Results) -> impl Iterator<Item = &'a Record> {
    results.records.iter().filter(move |record| {
        let case = &record.case;
        let same = case.dataset == cell.dataset && case.model == cell.model;
        same && case.mode == cell.mode
    })
}

/// A sample with the pictures that the run left of it; nothing if it left none.
fn exhibit<'a>(
    all: &'a Results,
    cell: &Cell,
    record: &'a Record,
    out: &Path,
) -> Option<Exhibit<'a>> {
    let Outcome::Attributed { results } = &record.outcome else {
        return None;
    };
    let index = record.case.index.to_string();
    let folder = out.join("gallery").join(cell.slug()).join(index);
    let image = picture(&folder.join("image.png"))?;
    let plan = &all.plan;
    let results = results.iter().filter_map(|result| {
        let picture = picture(&folder.join(format!("{}.png", slug(&result.method))))?;
        Some((result, picture))
    });
    let mut results: Vec<_> = results.collect();
    results.sort_by_key(|(result, _)| plan.place(&result.method));
    Some(Exhibit {
        record,
        subject: record.subject.as_ref()?,
        image,
        edits: edits(all, record, out),
        results,
    })
}

/// The counterfactuals of a sample, by the editor that decides.
fn edits<'a>(
    all: &'a Results,
    record: &Record,
    out: &Path,
) -> Vec<(Role, &'a Counterfactual, String)> {
    let filter = all.plan.experiment.filter.as_ref();
    let folder = filter.and_then(|filter| filter.edits.clone());
    let folder = folder.unwrap_or_else(|| out.join(results::EDITS));
    let judged = all.filter.iter().find(|judged| judged.case == record.case);
    let draw = judged.and_then(|judged| judged.judgement()?.deciding()?.draws.first());
    let images = draw.into_iter().flat_map(|draw| &draw.images);
    images
        .filter_map(|(role, image)| {
            let edited = picture(&folder.join(&image.edit.file))?;
            Some((*role, image, edited))
        })
        .collect()
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
