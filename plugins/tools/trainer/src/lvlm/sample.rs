//! One training image: a phantom, partly blanked, with what is still to be seen on it.
//!
//! Blanking is what makes explanations of the model meaningful. A finding whose extent is blanked is
//! to be answered "No"; blanking anything else changes no answer. So the model is at home on the
//! images that occlusion makes, and its "Yes" has to come from the finding itself.

use std::ops::Range;

use medfocus_imaging::resample::{Filter, resize};
use medfocus_imaging::working::letterbox;
use medfocus_phantom::{
    CaseOptions, Finding, FindingInstance, Mask, Renderer, sample_case, tight_box,
};
use ndarray::s;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::architecture::{IMAGE_SIDE, PATCHES_PER_SIDE};
use crate::film::{self, WORKING_SIDE};

/// Pixels of the working image along one side of a patch.
const PATCH: usize = WORKING_SIDE / PATCHES_PER_SIDE;
/// Share of a patch that a finding must cover to count fully.
const FULL_PATCH: f32 = 0.25;
/// A finding is present when more than this share of its extent is visible, ...
const PRESENT: f32 = 0.7;
/// ... absent when less than this is, and not asked about in between.
const ABSENT: f32 = 0.2;

/// How many times as large as the working image large films are.
const LARGE: Range<f64> = 2.0..2.9;

/// Findings that take longest to learn, and are drawn more often.
const SUBTLE: [Finding; 3] = [
    Finding::Pneumothorax,
    Finding::LungNodule,
    Finding::ClavicleFracture,
];

/// What an image says about one finding.
#[derive(Clone, Debug)]
pub enum Truth {
    /// The instance, and its box `[y1, x1, y2, x2]` as shares of the working image.
    Present(FindingInstance, [f32; 4]),
    Absent,
    /// Blanked: no longer to be seen, and to be answered like an absent one.
    Hidden,
    /// Blanked in part.
    Unclear,
}

/// An image with its labels. Findings are in the order of [`Finding::ALL`].
pub struct Sample {
    /// Grey levels of the model's input, row by row.
    pub pixels: Vec<u8>,
    /// How much of each patch each finding covers, 0 to 1, `[findings, patches]`.
    pub cover: Vec<f32>,
    pub truths: Vec<Truth>,
}

/// Which images to draw.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Purpose {
    /// Many findings, of any shape, often blanked in places; this share of the films as large as real ones.
    Training {
        /// The share.
        large: f64,
    },
    /// The phantom as it is.
    Testing,
}

/// Draws the image of this seed.
pub fn draw(seed: u64, purpose: Purpose, renderer: &mut Renderer) -> Sample {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut options = CaseOptions::default();
    let mut large = 0.0;
    if let Purpose::Training { large: share } = purpose {
        large = share;
        options.counts = [0.08, 0.22, 0.35, 0.35];
        options.require = rng
            .random_bool(0.5)
            .then(|| SUBTLE[rng.random_range(0..SUBTLE.len())]);
    }
    let case = sample_case(seed, &options);
    let (mut height, mut width) = film::size(&mut rng);
    if rng.random_bool(large) {
        let scale = rng.random_range(LARGE);
        (height, width) = [height, width]
            .map(|side| (side as f64 * scale) as usize)
            .into();
    }
    let rendered = renderer.render(&case.patient, &case.findings, height, width);
    let mut image = letterbox(rendered.image.view(), WORKING_SIDE as u32);
    let masks: Vec<Mask> = (0..case.findings.len())
        .filter_map(|index| rendered.finding_mask(index))
        .map(|mask| film::place(&mask))
        .collect();
    let blank = match purpose {
        Purpose::Training { .. } => blanked(&masks, &mut rng),
        Purpose::Testing => Mask::from_elem((WORKING_SIDE, WORKING_SIDE), false),
    };
    image.zip_mut_with(&blank, |pixel, &blank| {
        if blank {
            *pixel = 0;
        }
    });

    let mut cover = vec![0.0; Finding::ALL.len() * PATCHES_PER_SIDE * PATCHES_PER_SIDE];
    let truths = Finding::ALL
        .into_iter()
        .zip(cover.chunks_exact_mut(PATCHES_PER_SIDE * PATCHES_PER_SIDE))
        .map(|(finding, cover)| {
            match case
                .findings
                .iter()
                .zip(&masks)
                .find(|(instance, _)| instance.finding == finding)
            {
                Some((instance, mask)) => {
                    cover_patches(mask, &blank, cover);
                    judge(instance, mask, &blank)
                }
                None => Truth::Absent,
            }
        })
        .collect();
    let pixels = resize(image.view(), IMAGE_SIDE, IMAGE_SIDE, Filter::Bilinear);
    Sample {
        pixels: pixels.into_iter().collect(),
        cover,
        truths,
    }
}

/// The pixels to blank: none, anything, a finding, or all but a finding.
fn blanked(masks: &[Mask], rng: &mut ChaCha8Rng) -> Mask {
    let mut blank = Mask::from_elem((WORKING_SIDE, WORKING_SIDE), false);
    let target = (!masks.is_empty())
        .then(|| &masks[rng.random_range(0..masks.len())])
        .and_then(tight_box);
    let margin = rng.random_range(0..=24usize);
    let grown = |low: usize, high: usize, margin: usize| {
        low.saturating_sub(margin)..(high + margin).min(WORKING_SIDE)
    };
    match (rng.random_range(0..100), target) {
        (0..40, _) => {}
        (40..62, Some(found)) => {
            let (rows, columns) = (
                grown(found.y1, found.y2, margin),
                grown(found.x1, found.x2, margin),
            );
            blank.slice_mut(s![rows, columns]).fill(true);
        }
        (62..70, Some(found)) => {
            let (rows, columns) = (
                grown(found.y1, found.y2, margin + 8),
                grown(found.x1, found.x2, margin + 8),
            );
            blank.fill(true);
            blank.slice_mut(s![rows, columns]).fill(false);
        }
        (70..85, _) => {
            // Cells of a grid, as occlusion and deletion curves blank them.
            let cell = WORKING_SIDE / 8;
            let share = rng.random_range(0.03..0.5);
            for (row, column) in
                (0..8).flat_map(|row| (0..8).map(move |column| (row * cell, column * cell)))
            {
                if rng.random_bool(share) {
                    blank
                        .slice_mut(s![row..row + cell, column..column + cell])
                        .fill(true);
                }
            }
        }
        _ => {
            for _ in 0..rng.random_range(1..=4) {
                let (height, width) = (rng.random_range(16..90), rng.random_range(16..90));
                let (top, left) = (
                    rng.random_range(0..WORKING_SIDE - 16),
                    rng.random_range(0..WORKING_SIDE - 16),
                );
                let (bottom, right) = (
                    (top + height).min(WORKING_SIDE),
                    (left + width).min(WORKING_SIDE),
                );
                blank.slice_mut(s![top..bottom, left..right]).fill(true);
            }
        }
    }
    blank
}

fn cover_patches(mask: &Mask, blank: &Mask, cover: &mut [f32]) {
    let whole = FULL_PATCH * (PATCH * PATCH) as f32;
    for ((row, column), &set) in mask.indexed_iter() {
        if set && !blank[[row, column]] {
            cover[row / PATCH * PATCHES_PER_SIDE + column / PATCH] += 1.0 / whole;
        }
    }
    for share in cover {
        *share = share.min(1.0);
    }
}

fn judge(instance: &FindingInstance, mask: &Mask, blank: &Mask) -> Truth {
    let total = mask.iter().filter(|&&set| set).count();
    let visible = mask
        .iter()
        .zip(blank)
        .filter(|&(&set, &blank)| set && !blank)
        .count();
    let Some(found) = tight_box(mask) else {
        return Truth::Unclear;
    };
    match visible as f32 / total as f32 {
        share if share > PRESENT => {
            let corners = [found.y1, found.x1, found.y2, found.x2];
            Truth::Present(
                instance.clone(),
                corners.map(|pixel| pixel as f32 / WORKING_SIDE as f32),
            )
        }
        share if share < ABSENT => Truth::Hidden,
        _ => Truth::Unclear,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_an_image() {
        let sample = || {
            draw(
                5,
                Purpose::Training { large: 0.5 },
                &mut Renderer::default(),
            )
        };
        assert_eq!(sample().pixels, sample().pixels);
        assert_eq!(sample().cover, sample().cover);
    }

    #[test]
    fn what_is_blanked_is_no_longer_there() {
        let instance = FindingInstance::sample(Finding::LungNodule, 0);
        let mut mask = Mask::from_elem((WORKING_SIDE, WORKING_SIDE), false);
        mask.slice_mut(s![64..80, 32..42]).fill(true);
        let judge_without = |columns: usize| {
            let mut blank = Mask::from_elem(mask.dim(), false);
            blank.slice_mut(s![.., 32..32 + columns]).fill(true);
            let mut cover = vec![0.0; PATCHES_PER_SIDE * PATCHES_PER_SIDE];
            cover_patches(&mask, &blank, &mut cover);
            (
                judge(&instance, &mask, &blank),
                cover[4 * PATCHES_PER_SIDE + 2],
            )
        };
        let (truth, cover) = judge_without(0);
        assert!(matches!(truth, Truth::Present(_, [top, ..]) if top == 64.0 / 224.0));
        assert_eq!(cover, 1.0);
        assert!(matches!(judge_without(2).0, Truth::Present(..)));
        assert!(matches!(judge_without(5).0, Truth::Unclear));
        let (truth, cover) = judge_without(9);
        assert!(matches!(truth, Truth::Hidden));
        assert!((cover - 16.0 / 64.0).abs() < 1e-6);
    }
}
