//! What a checkpoint makes of the boxes that MedFocus gives it: concepts carried over from other patients.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use medfocus_method_medfocus::{Features, MedFocusParams, Pool, Reference, localise};
use medfocus_phantom::{
    CaseOptions, Concept, FindingInstance, Patient, render, sample_case, tight_box,
};
use medfocus_plugin_api::{BBox, GrayImage, Mask, Sample, SampleKey, WORKING_SIDE, Working};
use medfocus_vision_medsam::Backend;
use ndarray::Array2;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value, json};

use super::augment::Placement;
use super::evaluate::{dice, overlap, refine, round};
use crate::feed::FIRST_TEST_SEED;

/// Patients of the pool: the demo's.
const POOL: std::ops::Range<u64> = 2_000_000..2_000_016;

/// For every concept, over `count` patients as they are and as many displaced: overlap of MedFocus' box with the
/// concept's, and dice of its region, before and after the checkpoint has refined it.
pub fn evaluate(backend: &Backend, count: u64) -> Result<Value> {
    let params = MedFocusParams::default();
    let (looks, how) = (params.looks(), params.localisation());
    let references = POOL.map(|seed| {
        let patient = sample_case(seed, &CaseOptions::default()).patient;
        Ok(Reference::of(&sample(&patient, &[], seed, None)?, &looks)?)
    });
    let pool = Pool {
        references: references.collect::<Result<_>>()?,
    };
    let mut report = Map::new();
    for displaced in [false, true] {
        let mut sums = BTreeMap::<&str, (f64, [f64; 4])>::new();
        for seed in FIRST_TEST_SEED..FIRST_TEST_SEED + count {
            let case = sample_case(seed, &CaseOptions::default());
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let place = displaced.then(|| Placement::draw(&mut rng));
            let target = sample(&case.patient, &case.findings, seed, place.as_ref())?;
            let content = BBox::<Working>::new(0, 0, WORKING_SIDE, WORKING_SIDE)?;
            let features = Features::of(&target.image, &content, &looks)?;
            let anatomy = localise(&features, &content, &pool, None, &how)?;
            let embedding = backend.encode(&target.image, &|_| Ok(()))?;
            for (concept, region) in Concept::ALL.into_iter().zip(anatomy.regions) {
                let truth = target.masks[concept.name()].view().mapv(|pixel| pixel != 0);
                let (Some(tight), Some(region)) = (tight_box(&truth), region) else {
                    continue;
                };
                let prompt = tight_box(&region.inside).context("a region has pixels")?;
                let refined = refine(backend, &embedding, prompt)?;
                // As MedFocus does where the segmenter finds nothing.
                let (refined, refined_box) = match tight_box(&refined) {
                    Some(bbox) => (refined, bbox),
                    None => (region.inside.clone(), prompt),
                };
                let (count, values) = sums.entry(concept.name()).or_default();
                *count += 1.0;
                let measured = [
                    overlap(prompt, tight),
                    overlap(refined_box, tight),
                    dice(&region.inside, &truth),
                    dice(&refined, &truth),
                ];
                for (sum, value) in values.iter_mut().zip(measured) {
                    *sum += value;
                }
            }
        }
        let rows: Map<String, Value> = sums
            .into_iter()
            .map(|(name, (count, values))| {
                let [before, after, dice_before, dice_after] = values.map(|sum| round(sum / count));
                let row = json!({
                    "box_iou": {"before": before, "after": after},
                    "dice": {"before": dice_before, "after": dice_after},
                });
                println!("{name}, displaced {displaced}: {row}");
                (name.to_owned(), row)
            })
            .collect();
        report.insert(
            if displaced { "displaced" } else { "in_place" }.to_owned(),
            rows.into(),
        );
    }
    Ok(report.into())
}

/// A patient with the masks of all concepts.
fn sample(
    patient: &Patient,
    findings: &[FindingInstance],
    index: u64,
    place: Option<&Placement>,
) -> Result<Sample> {
    let side = WORKING_SIDE as usize;
    let rendered = render(patient, findings, side, side);
    let masks = Concept::ALL.map(|concept| {
        let mask = moved(rendered.concept_mask(concept), place);
        Ok((concept.name().to_owned(), Mask::from_array(mask.view())?))
    });
    let key = SampleKey {
        dataset: "phantom".to_owned(),
        index,
    };
    let image = GrayImage::from_array(moved(rendered.image, place))?;
    let mut sample = Sample::normal(key, image);
    sample.masks = masks.into_iter().collect::<Result<_>>()?;
    Ok(sample)
}

fn moved<T: Copy + Default>(pixels: Array2<T>, place: Option<&Placement>) -> Array2<T> {
    match place {
        Some(place) => place.apply(&pixels),
        None => pixels,
    }
}
