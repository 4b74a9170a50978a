//! The gallery: samples with the pictures that the run left in the result folder.

use std::{fs, path::Path};

use base64::{Engine, prelude::BASE64_STANDARD};
use image::{ExtendedColorType, ImageEncoder, ImageFormat, codecs::jpeg::JpegEncoder};
use medfocus_plugin_api::Result;

use crate::{
    causal::{
        gate::Role,
        record::{Counterfactual, FilterRecord},
    },
    experiment::{
        plan::slug,
        record::{CaseKey, MethodResult, Outcome, Record, Subject},
        results::{self, Results},
    },
};

/// JPEG quality at which thin coloured lines stay clean; a picture takes some 20 kB.
const QUALITY: u8 = 85;

/// A sample to show.
pub struct Exhibit {
    /// The sample.
    pub case: CaseKey,
    /// What was asked and answered.
    pub subject: Subject,
    /// The image with the annotated regions, as a `data:` address.
    pub image: String,
    /// What the causal filter showed the model, where its pictures are there.
    pub edits: Vec<(Role, Counterfactual, String)>,
    /// The methods whose pictures are there, the controls last.
    pub results: Vec<(MethodResult, String)>,
}

/// The samples to show.
pub struct Gallery {
    /// In the order of the plan.
    pub exhibits: Vec<Exhibit>,
    /// Whether there are more in the folder.
    pub more: bool,
}

/// Collects samples until they have `limit` pictures; then each cell shows its first ones.
///
/// # Errors
///
/// The record of a sample with pictures cannot be read.
pub fn gallery(results: &Results, out: &Path, limit: usize) -> Result<Gallery> {
    let cells = &results.plan.cells;
    let each = results.plan.experiment.gallery as usize;
    let mut waiting: Vec<_> = cells
        .iter()
        .map(|cell| {
            let folder = out.join("gallery").join(cell.slug());
            let pictured = folder.clone();
            let pictured = move |index: u64| pictured.join(index.to_string()).is_dir();
            let records = results.records.of(cell, pictured);
            let exhibits = records.filter_map(move |record| {
                let exhibit = record.and_then(|record| exhibit(results, record, &folder, out));
                exhibit.transpose()
            });
            exhibits.take(each)
        })
        .collect();
    let (mut found, mut pictures) = (Vec::new(), 0);
    loop {
        let turn = (waiting.iter_mut().enumerate())
            .filter_map(|(at, exhibits)| Some(exhibits.next()?.map(|exhibit| (at, exhibit))));
        let turn: Vec<_> = turn.collect::<Result<_>>()?;
        if turn.is_empty() {
            return Ok(in_order(found, false));
        }
        for (at, exhibit) in turn {
            pictures += 1 + exhibit.edits.len() + exhibit.results.len();
            if pictures > limit {
                return Ok(in_order(found, true));
            }
            found.push((at, exhibit));
        }
    }
}

fn in_order(mut found: Vec<(usize, Exhibit)>, more: bool) -> Gallery {
    found.sort_by_key(|(cell, exhibit)| (*cell, exhibit.case.index));
    Gallery {
        exhibits: found.into_iter().map(|(_, exhibit)| exhibit).collect(),
        more,
    }
}

/// A sample with the pictures that the run left of it in the folder of its cell; nothing if it left none.
fn exhibit(all: &Results, record: Record, folder: &Path, out: &Path) -> Result<Option<Exhibit>> {
    let folder = folder.join(record.case.index.to_string());
    let (Outcome::Attributed { results }, Some(subject), Some(image)) = (
        record.outcome,
        record.subject,
        picture(&folder.join("image.png")),
    ) else {
        return Ok(None);
    };
    let results = results.into_iter().filter_map(|result| {
        let picture = picture(&folder.join(format!("{}.png", slug(&result.method))))?;
        Some((result, picture))
    });
    let mut results: Vec<_> = results.collect();
    results.sort_by_key(|(result, _)| all.plan.place(&result.method));
    Ok(Some(Exhibit {
        edits: edits(all, &record.case, out)?,
        case: record.case,
        subject,
        image,
        results,
    }))
}

/// The counterfactuals of a sample, by the editor that decides.
fn edits(all: &Results, case: &CaseKey, out: &Path) -> Result<Vec<(Role, Counterfactual, String)>> {
    let filter = all.plan.experiment.filter.as_ref();
    let folder = filter.and_then(|filter| filter.edits.clone());
    let folder = folder.unwrap_or_else(|| out.join(results::EDITS));
    let judged = all.filter.get(case)?;
    let judged = judged.as_ref().and_then(FilterRecord::judgement);
    let draw = judged.and_then(|judged| judged.deciding()?.draws.first());
    let images = draw.into_iter().flat_map(|draw| &draw.images);
    let shown = images.filter_map(|(role, image)| {
        let edited = picture(&folder.join(&image.edit.file))?;
        Some((*role, image.clone(), edited))
    });
    Ok(shown.collect())
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
