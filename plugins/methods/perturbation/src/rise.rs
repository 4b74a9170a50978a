//! RISE (Petsiuk et al., BMVC 2018) of a vision-language model's answer.

use medfocus_attribution::{
    Aim, Baseline, Quantity, Scorer, Span, WORKING_DIM, content, normalised, token_heat,
};
use medfocus_plugin_api::{
    Ability, Attribution, AttributionMethod, BBox, Component, Context, Error, GrayImage, HeatMap,
    Result, Slot, Task, Working, choices, params,
};
use ndarray::{Array2, ArrayView2, Zip};
use serde_json::json;

use crate::{Cells, MaskKind, Masks, Upsample};

choices! {
    /// What the sum of scores that kept a pixel is divided by.
    pub enum Normalise {
        /// How often it was kept: the mean score of the images that show it.
        Counts = "counts",
        /// How often pixels are kept on average, as the published code does; the map follows the luck of the masks.
        Published = "published",
    }
}

params! {
    /// Parameters of [`Rise`].
    pub struct RiseParams {
        /// Random masks.
        pub count: u32 = 64, in 1..=65536;
        /// Cells along each side of a mask.
        pub cells: u32 = 8, in 1..=224;
        /// Probability that a mask keeps a cell.
        pub keep: f64 = 0.5, in 0.01..=0.99;
        /// How random cells become a mask.
        pub masks: MaskKind = "cells";
        /// What the sum of scores that kept a pixel is divided by.
        pub normalise: Normalise = "counts";
        /// What replaces what a mask hides.
        pub baseline: Baseline = "zero";
        /// What is explained.
        pub target: Quantity = "mean_probability";
        /// Which tokens count as the answer.
        pub answer_span: Span = "answer";
        /// Only these tokens of the answer, as `0..3`, counted from its first, or `verdict`, its last yes or no; all if empty.
        pub tokens: String = "";
        /// Also a map for each answer token.
        pub per_token: bool = false;
        /// How cells become a map of pixels; masks of `petsiuk` have none, and take `cells` only.
        pub upsample: Upsample = "cells";
        /// Images a model call; changes speed and memory, not the result.
        pub batch: usize = 16, in 1..=4096;
    }
}

/// RISE: shows the model the image through N random masks M_m. With s_m the target on
/// image M_m + baseline (1 - M_m),
///
/// saliency of a pixel = sum over m of s_m M_m / sum over m of M_m,
///
/// the mean score of the images that show it. The publication divides by its expectation N p instead, p the
/// probability to keep; with few masks that map mostly shows how often a pixel was kept, whatever the model
/// (`normalise = "published"`).
///
/// A letterbox's padding is never replaced. No mask tells anything of padding, nor of a pixel that none kept:
/// divided by counts, these hold the lowest saliency of the others. Maps of single tokens cost no
/// more scores.
pub struct Rise {
    context: Context,
    params: RiseParams,
    aim: Aim,
}

impl Component for Rise {
    const NAME: &'static str = "rise";
    const SUMMARY: &'static str =
        "RISE (Petsiuk et al., BMVC 2018): one score for each random mask of the image.";
    const SLOTS: &'static [Slot] = &[Slot::model(&[Ability::Score])];
    type Params = RiseParams;

    fn new(params: RiseParams, context: Context) -> Result<Self> {
        if params.upsample == Upsample::Bilinear && params.masks != MaskKind::Cells {
            let text = "parameter `upsample`: `bilinear` interpolates between cells, and masks of `petsiuk` have none";
            return Err(Error::invalid(text)
                .with_key("upsample")
                .with_hint("leave it `cells`, or set `masks = \"cells\"`"));
        }
        let aim = Aim::new(params.target, params.answer_span, &params.tokens)?;
        Ok(Self {
            aim: aim.with_maps(params.per_token)?,
            context,
            params,
        })
    }
}

impl AttributionMethod for Rise {
    fn attribute(&self, task: &Task) -> Result<Attribution> {
        let target = self.aim.of(task)?;
        let params = &self.params;
        let content = content(task)?;
        let baseline = params.baseline.of(&task.image, &content)?;
        let masks = Masks {
            kind: params.masks,
            cells: params.cells,
            keep: params.keep,
            seed: task.seed,
        };
        let scorer = Scorer {
            context: &self.context,
            task,
            target: &target,
            batch: params.batch,
        };
        let scored = scorer.score(params.count as usize, |m| {
            through(&masks.mask(m), &task.image, &baseline)
        })?;

        let heat = self.map(&masks, &scored.values, &content)?;
        let each_token = |t| self.map(&masks, &scored.of_token(&target, t)?, &content);
        let token_heat = params
            .per_token
            .then(|| token_heat(scored.tokens.ncols(), each_token))
            .transpose()?;
        let empty =
            "no part of the image raises the answer's score above any other: the map is empty";
        Ok(Attribution {
            warnings: heat.is_zero().then(|| empty.into()).into_iter().collect(),
            heat: Some(heat),
            token_heat,
            evidence: [("images_scored".into(), json!(scored.images))]
                .into_iter()
                .collect(),
            ..Attribution::default()
        })
    }
}

impl Rise {
    fn map(&self, masks: &Masks, scores: &[f64], content: &BBox<Working>) -> Result<HeatMap> {
        let saliency = |mask: &dyn Fn(usize) -> Array2<f32>, image: &Array2<bool>| {
            let each = (0..scores.len()).map(mask);
            saliency(
                each,
                scores,
                masks.keep,
                self.params.normalise,
                image.view(),
            )
        };
        match self.params.upsample {
            Upsample::Cells => {
                let image = |(y, x): (usize, usize)| content.contains(x as u32, y as u32);
                let image = Array2::from_shape_fn(WORKING_DIM, image);
                normalised(saliency(&|m| masks.mask(m), &image).mapv(|value| value as f32))
            }
            Upsample::Bilinear => {
                let side = masks.cells as usize;
                let cells = Cells::new(masks.cells).boxes()?;
                let image = |(row, column): (usize, usize)| {
                    cells[row * side + column].intersection(content).is_some()
                };
                let image = Array2::from_shape_fn((side, side), image);
                Upsample::Bilinear.map(&saliency(&|m| masks.grid(m), &image))
            }
        }
    }
}

/// The saliency of each pixel or cell, given masks and the score through each; see [`Rise`]. `image` has the masks' shape and
/// says what is not padding. By counts the saliency is relative to the first score.
///
/// # Panics
///
/// If the shapes differ.
pub fn saliency(
    masks: impl Iterator<Item = Array2<f32>>,
    scores: &[f64],
    keep: f64,
    normalise: Normalise,
    image: ArrayView2<'_, bool>,
) -> Array2<f64> {
    // A shift of the map, after which equal scores leave nothing.
    let origin = match normalise {
        Normalise::Counts => scores.first().copied().unwrap_or_default(),
        Normalise::Published => 0.0,
    };
    let mut sums = Array2::<f64>::zeros(image.dim());
    let mut kept = Array2::<f64>::zeros(image.dim());
    for (mask, score) in masks.zip(scores) {
        let mask = mask.mapv(f64::from);
        sums.scaled_add(score - origin, &mask);
        kept += &mask;
    }
    if normalise == Normalise::Published {
        return sums / (scores.len() as f64 * keep);
    }
    let told = |at: (usize, usize)| kept[at] > 0.0 && image[at];
    let means = sums.indexed_iter().filter(|(at, _)| told(*at));
    let means = means.map(|(at, sum)| sum / kept[at]);
    let lowest = means.reduce(f64::min).unwrap_or_default();
    Array2::from_shape_fn(image.dim(), |at| {
        if told(at) {
            sums[at] / kept[at]
        } else {
            lowest
        }
    })
}

/// The image where the mask is 1, the baseline where it is 0.
fn through(mask: &Array2<f32>, image: &GrayImage, baseline: &GrayImage) -> Result<GrayImage> {
    let mixed = Zip::from(mask)
        .and(image.view())
        .and(baseline.view())
        .map_collect(|&keep, &shown, &hidden| {
            let (shown, hidden) = (f32::from(shown), f32::from(hidden));
            (hidden + (shown - hidden) * keep).round() as u8
        });
    GrayImage::from_array(mixed)
}
