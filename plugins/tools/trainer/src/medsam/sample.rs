//! One training image: a phantom with boxes, and what is meant by each of them.

use medfocus_imaging::working::letterbox;
use medfocus_phantom::{
    CaseOptions, Concept, Finding, Mask, PixelBox, Rendered, Renderer, sample_case, tight_box,
};
use ndarray::Array2;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::architecture::{CELL, MASK_SIDE};
use super::augment::{Placement, expose};
use super::dense::REGIONS;
use super::prompt::Jitter;
use crate::film::{self, WORKING_SIDE};

/// Regions of an image that are asked for, at most.
const ASKED: usize = 10;
/// Relative frequency of 0, 1, 2 and 3 findings.
const FINDINGS: [f32; 4] = [0.15, 0.25, 0.3, 0.3];
/// Smaller regions are not asked for, pixels.
const SMALLEST: usize = 24;

/// An image with its prompts.
pub struct Sample {
    /// The working image.
    pub image: Array2<u8>,
    /// Boxes of the working image, each with the kind of region that it means.
    pub boxes: Vec<(usize, PixelBox)>,
    /// The share of each cell that each kind of region covers, `[kinds, cells, cells]`, flattened.
    pub cover: Vec<f32>,
}

/// A concept or a finding.
pub struct Region {
    /// Its place among all concepts and, after them, all findings.
    pub kind: usize,
    /// Its name.
    pub name: &'static str,
    /// Its pixels in the working image.
    pub mask: Mask,
}

/// The image of this seed.
pub fn draw(seed: u64, renderer: &mut Renderer) -> Sample {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let options = CaseOptions {
        counts: FINDINGS,
        ..CaseOptions::default()
    };
    let case = sample_case(seed, &options);
    let (height, width) = film::size(&mut rng);
    let rendered = renderer.render(&case.patient, &case.findings, height, width);
    let mut image = letterbox(rendered.image.view(), WORKING_SIDE as u32);
    let kinds: Vec<Finding> = case.findings.iter().map(|found| found.finding).collect();
    let mut regions = regions(&rendered, &kinds);
    if rng.random_bool(0.5) {
        let place = Placement::draw(&mut rng);
        image = place.apply(&image);
        for region in &mut regions {
            region.mask = place.apply(&region.mask);
        }
    }
    if rng.random_bool(0.5) {
        expose(&mut image, &mut rng);
    }
    let mut cover = vec![0.0; REGIONS * MASK_SIDE * MASK_SIDE];
    for region in &regions {
        cover[region.kind * MASK_SIDE * MASK_SIDE..][..MASK_SIDE * MASK_SIDE]
            .copy_from_slice(&cells(&region.mask));
    }
    regions.retain(|region| region.mask.iter().filter(|&&inside| inside).count() >= SMALLEST);
    regions.shuffle(&mut rng);
    // Each finding is rarer than any concept, so all are asked for.
    regions.sort_by_key(|region| region.kind < Concept::ALL.len());
    regions.truncate(ASKED);
    let boxes = regions.iter().filter_map(|region| {
        let tight = tight_box(&region.mask)?;
        Some((region.kind, Jitter::draw(&mut rng).apply(tight, &mut rng)))
    });
    Sample {
        boxes: boxes.collect(),
        image,
        cover,
    }
}

/// All concepts, then the findings of these kinds, which were rendered in this order, in the working image.
pub fn regions(rendered: &Rendered, findings: &[Finding]) -> Vec<Region> {
    let concepts = Concept::ALL.into_iter().map(|concept| Region {
        kind: concept as usize,
        name: concept.name(),
        mask: film::place(&rendered.concept_mask(concept)),
    });
    let findings = findings.iter().enumerate().filter_map(|(index, finding)| {
        Some(Region {
            kind: Concept::ALL.len() + *finding as usize,
            name: finding.name(),
            mask: film::place(&rendered.finding_mask(index)?),
        })
    });
    concepts.chain(findings).collect()
}

/// The share of each cell that a mask covers, row by row.
pub fn cells(mask: &Mask) -> Vec<f32> {
    let mut shares = vec![0.0; MASK_SIDE * MASK_SIDE];
    for ((y, x), _) in mask.indexed_iter().filter(|(_, inside)| **inside) {
        shares[y / CELL * MASK_SIDE + x / CELL] += 1.0 / (CELL * CELL) as f32;
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_an_image_with_its_prompts() {
        let sample = || draw(5, &mut Renderer::default());
        let (one, two) = (sample(), sample());
        assert_eq!((&one.image, &one.boxes), (&two.image, &two.boxes));
        assert_eq!(one.cover, two.cover);
        assert_eq!(one.boxes.len(), ASKED);
    }

    #[test]
    fn a_cell_holds_the_share_that_is_covered() {
        let mut mask = Mask::from_elem((WORKING_SIDE, WORKING_SIDE), false);
        mask[(0, 1)] = true;
        mask[(1, 1)] = true;
        mask[(WORKING_SIDE - 1, 0)] = true;
        let cells = cells(&mask);
        let pixel = 1.0 / (CELL * CELL) as f32;
        assert_eq!(cells[0], 2.0 * pixel);
        assert_eq!(cells[MASK_SIDE * (MASK_SIDE - 1)], pixel);
        assert_eq!(cells.iter().sum::<f32>(), 3.0 * pixel);
    }
}
