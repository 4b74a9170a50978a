//! Occlusion sensitivity (Zeiler and Fergus, ECCV 2014, section 4.2) of a vision-language model's answer.

use medfocus_attribution::{Aim, Baseline, Quantity, Scorer, Span, content, token_heat};
use medfocus_plugin_api::{
    Ability, Attribution, AttributionMethod, Component, Context, Result, Slot, Task, params,
};
use ndarray::Array2;
use serde_json::json;

use crate::{Cells, Upsample, cells::exchanged};

params! {
    /// Parameters of [`Occlusion`].
    pub struct OcclusionParams {
        /// Cells along each side of the working image.
        pub cells: u32 = 8, in 1..=224;
        /// What replaces a cell.
        pub baseline: Baseline = "zero";
        /// What is explained.
        pub target: Quantity = "mean_probability";
        /// Which tokens count as the answer.
        pub answer_span: Span = "answer";
        /// Only these tokens of the answer, as `0..3`, counted from its first, or `verdict`, its last yes or no; all if empty.
        pub tokens: String = "";
        /// Also a map for each answer token.
        pub per_token: bool = false;
        /// How cells become a map of pixels.
        pub upsample: Upsample = "cells";
        /// Images a model call; changes speed and memory, not the result.
        pub batch: usize = 16, in 1..=4096;
    }
}

/// Occlusion: hides one cell of the image after the other. With s the target,
///
/// heat of a cell = max(0, s(image) - s(image without the cell)).
///
/// A letterbox's padding is not part of the image and is never replaced. A cell that hiding does not change (all
/// padding, or equal to the baseline) has drop 0 and costs no score. Maps of single tokens cost no
/// more scores.
pub struct Occlusion {
    context: Context,
    params: OcclusionParams,
    aim: Aim,
}

impl Component for Occlusion {
    const NAME: &'static str = "occlusion";
    const SUMMARY: &'static str =
        "Occlusion sensitivity (Zeiler and Fergus, ECCV 2014): one score for each hidden cell.";
    const SLOTS: &'static [Slot] = &[Slot::model(&[Ability::Score])];
    type Params = OcclusionParams;

    fn new(params: OcclusionParams, context: Context) -> Result<Self> {
        let aim = Aim::new(params.target, params.answer_span, &params.tokens)?;
        Ok(Self {
            aim: aim.with_maps(params.per_token)?,
            context,
            params,
        })
    }
}

impl AttributionMethod for Occlusion {
    fn attribute(&self, task: &Task) -> Result<Attribution> {
        let target = self.aim.of(task)?;
        let content = content(task)?;
        let baseline = self.params.baseline.of(&task.image, &content)?;
        let cells = Cells::new(self.params.cells).boxes()?;
        let scorer = Scorer {
            context: &self.context,
            task,
            target: &target,
            batch: self.params.batch,
        };
        // The image itself first, then the ones that lack a cell.
        let scored = scorer.score(1 + cells.len(), |i| match i {
            0 => Ok(task.image.clone()),
            // The padding of the baseline is the image's own.
            i => exchanged(&task.image, &baseline, [&cells[i - 1]]),
        })?;

        let drops = self.drops(&scored.values);
        let heat = self.params.upsample.map(&drops)?;
        let rows: Vec<_> = drops.rows().into_iter().map(|row| row.to_vec()).collect();
        let evidence = [
            ("s0", json!(scored.values[0])),
            ("drops", json!(rows)),
            ("images_scored", json!(scored.images)),
        ];
        let each_token = |t| {
            let drops = self.drops(&scored.of_token(&target, t)?);
            self.params.upsample.map(&drops)
        };
        let token_heat = self
            .params
            .per_token
            .then(|| token_heat(scored.tokens.ncols(), each_token))
            .transpose()?;
        let empty =
            "hiding no cell lowers the answer's score more than any other: the map is empty";
        Ok(Attribution {
            warnings: heat.is_zero().then(|| empty.into()).into_iter().collect(),
            heat: Some(heat),
            token_heat,
            evidence: evidence
                .map(|(key, value)| (key.into(), value))
                .into_iter()
                .collect(),
            ..Attribution::default()
        })
    }
}

impl Occlusion {
    /// The drop of each cell, given the score of the image and then of the ones without a cell.
    fn drops(&self, scores: &[f64]) -> Array2<f64> {
        let side = self.params.cells as usize;
        Array2::from_shape_fn((side, side), |(r, c)| {
            (scores[0] - scores[1 + r * side + c]).max(0.0)
        })
    }
}
