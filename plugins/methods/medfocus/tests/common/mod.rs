//! Phantoms as references and targets.

use std::collections::BTreeMap;

use medfocus_phantom::{CaseOptions, Concept, render, sample_case};
use medfocus_plugin_api::{GrayImage, Mask, Sample, SampleKey};
use ndarray::{Array2, ArrayView2};

/// The first seed of the patients that are not references.
pub const TEST: u64 = 1 << 40;

/// A phantom patient with exact masks of all concepts, healthy or not.
pub fn phantom(seed: u64, healthy: bool) -> Sample {
    let case = sample_case(seed, &CaseOptions::default());
    let findings = if healthy { &[][..] } else { &case.findings };
    let rendered = render(&case.patient, findings, 224, 224);
    let masks = Concept::ALL.map(|concept| {
        let mask = Mask::from_array(rendered.concept_mask(concept).view()).unwrap();
        (concept.name().to_owned(), mask)
    });
    let mut sample = Sample::new(
        SampleKey {
            dataset: if healthy { "healthy" } else { "phantom" }.into(),
            index: seed,
        },
        GrayImage::from_array(rendered.image).unwrap(),
        "",
        "",
    );
    sample.masks = BTreeMap::from(masks);
    sample
}

/// Pixels zoomed about their middle, then shifted; black beyond the film.
pub fn moved(pixels: ArrayView2<'_, u8>, zoom: f64, down: f64, right: f64) -> Array2<u8> {
    let place = |at: usize, shift: f64| {
        let from = (at as f64 - 111.5 - shift) / zoom + 111.5;
        (0.0..=223.0)
            .contains(&from)
            .then_some(from.round() as usize)
    };
    Array2::from_shape_fn(pixels.dim(), |(y, x)| {
        place(y, down)
            .zip(place(x, right))
            .map_or(0, |at| pixels[at])
    })
}

/// The patient nearer or farther and off the centre, as if another technician had placed them.
pub fn displaced(sample: &Sample, seed: u64) -> Sample {
    let part = |factor: u64| ((seed * factor) % 101) as f64 / 50.0 - 1.0;
    let (zoom, down, right) = (1.0 + 0.15 * part(37), 16.0 * part(53), 16.0 * part(71));
    let masks = sample.masks.iter().map(|(name, mask)| {
        let mask = moved(mask.view(), zoom, down, right).mapv(|pixel| pixel != 0);
        (name.clone(), Mask::from_array(mask.view()).unwrap())
    });
    let image = moved(sample.image.view(), zoom, down, right);
    let mut sample = sample.clone();
    sample.image = GrayImage::from_array(image).unwrap();
    sample.masks = masks.collect();
    sample
}
