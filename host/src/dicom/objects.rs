//! From a record to DICOM objects.

use image::RgbImage;
use medfocus_dicom::{
    Algorithm, BANNER, Explanation, Film, Identity, Moment, Object, Picture, Region, Weight,
};
use medfocus_plugin_api::{Error, Result};

use crate::{
    attribute::{AnswerSource, Record},
    evidence::Weighed,
    overlay,
    workbench::Provenance,
};

/// What the objects are about.
#[derive(Clone, Copy)]
pub struct About<'a> {
    /// The film that was explained.
    pub film: &'a Film,
    /// What was found.
    pub record: &'a Record,
    /// The picture of it.
    pub overlay: &'a RgbImage,
    /// What the user calls the method.
    pub method: &'a str,
    /// What the user calls the model.
    pub model: &'a str,
    /// The finding the question is about.
    pub finding: Option<&'a str>,
}

/// Writes them.
///
/// # Errors
///
/// Those of [`medfocus_dicom::write`].
pub fn write(about: &About<'_>, identity: &Identity) -> Result<Vec<Object>> {
    let record = about.record;
    let page = overlay::headed(about.overlay, BANNER);
    let side = |pixels: u32| {
        u16::try_from(pixels)
            .map_err(|_| Error::internal("the picture is too large for a DICOM object"))
    };
    let weighed = Weighed::of(&record.evidence);
    let weights = weighed.iter().flat_map(|weighed| &weighed.concepts);
    let parameters = serde_json::to_string(&record.method.params)
        .map_err(|error| Error::internal(format!("parameters cannot be written: {error}")))?;
    let explanation = Explanation {
        version: record.medfocus,
        question: &record.question,
        answer: &record.answer,
        given: record.answer_source == AnswerSource::Given,
        finding: about.finding,
        regions: regions(record),
        weights: weights
            .map(|concept| Weight {
                concept: concept.name,
                delta: concept.delta,
            })
            .collect(),
        warnings: &record.warnings,
        method: algorithm(about.method, &record.method, &parameters, None),
        model: algorithm(
            named(about.model),
            &record.model,
            // They say where it lies.
            "",
            Some(&record.model_info.digest),
        ),
        picture: Picture {
            width: side(page.width())?,
            height: side(page.height())?,
            rgb: page.as_raw(),
            scale: overlay::scale(record.image.width, record.image.height),
        },
    };
    medfocus_dicom::write(about.film, identity, &explanation, Moment::now())
}

/// Those that are not in the padding, as far as they are on the film.
fn regions(record: &Record) -> Vec<Region<'_>> {
    let (width, height) = (record.image.width, record.image.height);
    let regions = record.boxes.iter().filter_map(|found| {
        Some(Region {
            edges: found.native?.clip(width, height)?.corners(),
            score: found.score,
            label: found.label.as_deref(),
        })
    });
    regions.collect()
}

/// A model as `component=folder` is called by its component: where it lies is nobody's business.
fn named(model: &str) -> &str {
    model.split('=').next().unwrap_or(model)
}

fn algorithm<'a>(
    name: &'a str,
    made: &'a Provenance,
    parameters: &'a str,
    weights: Option<&'a str>,
) -> Algorithm<'a> {
    Algorithm {
        name,
        plugin: &made.plugin.name,
        version: &made.plugin.version,
        digest: &made.plugin.digest,
        weights,
        parameters,
    }
}
