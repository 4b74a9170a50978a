//! EAGLE (Chen et al. 2025, arXiv 2509.22496) of a vision-language model's answer.

use medfocus_attribution::{Aim, Baseline, Quantity, Scorer, Span, content, normalised};
use medfocus_plugin_api::{
    Ability, Attribution, AttributionMethod, Component, Context, Result, Slot, Task, params,
};
use ndarray::Array2;
use serde_json::json;

use crate::{Cells, Gains, Pair, Search, cells::exchanged};

params! {
    /// Parameters of [`Eagle`].
    pub struct EagleParams {
        /// Cells along each side of the working image: its regions. The publication takes superpixels, about as many.
        pub cells: u32 = 8, in 1..=32;
        /// Images that may be scored: 1412 order 64 cells, 2 + 2 for each cell rank them once.
        pub budget: usize = 1500, in 4..=10000000;
        /// Every so many rounds all remaining cells are ranked anew; 1 ranks them in each.
        pub update_step: usize = 5, in 1..=1024;
        /// In between only so many of the best ranked cells are tried.
        pub search_scope: usize = 10, in 1..=1024;
        /// So many of the last ranked cells are tried for the far end of the order; 0 fills it from the front alone.
        pub pending: usize = 8, in 0..=1024;
        /// What of the order is a cell's heat.
        pub heat: Gains = "remaining";
        /// What replaces a cell.
        pub baseline: Baseline = "zero";
        /// What is explained.
        pub target: Quantity = "mean_probability";
        /// Which tokens count as the answer.
        pub answer_span: Span = "answer";
        /// Only these tokens of the answer, as `0..3`, counted from its first, or `verdict`, its last yes or no; all if empty.
        pub tokens: String = "";
        /// Images a model call; changes speed and memory, not the result.
        pub batch: usize = 16, in 1..=4096;
    }
}

/// EAGLE: orders the regions V of the image so that few of the first give the answer and few suffice to lose it. With s
/// the target, s(S) on the image that shows the regions S alone, a greedy search adds the region that maximises
///
/// F(S) = s(S) + (1 - s(V - S)).
///
/// The heat of a region is how much F changes from it on, steps down counted as steps up, so that the first is the hottest. With `update_step = 1` and `pending = 0` the search is
/// the exact greedy one, n (n + 1) images for n regions; the defaults are the publication's faster one, which also fills the order
/// from its far end. Where the budget does not last, the regions in the middle share one heat.
///
/// A letterbox's padding is never replaced, and a cell that equals the baseline is none of the regions.
pub struct Eagle {
    context: Context,
    params: EagleParams,
    aim: Aim,
}

impl Component for Eagle {
    const NAME: &'static str = "eagle";
    const SUMMARY: &'static str = "EAGLE (Chen et al. 2025): a greedy order of regions by what they say alone and what is lost without them.";
    const SLOTS: &'static [Slot] = &[Slot::model(&[Ability::Score])];
    type Params = EagleParams;

    fn new(params: EagleParams, context: Context) -> Result<Self> {
        Ok(Self {
            aim: Aim::new(params.target, params.answer_span, &params.tokens)?,
            context,
            params,
        })
    }
}

impl AttributionMethod for Eagle {
    /// Heat alone. Evidence: `regions`; how many of them the budget `settled`; the curves through the order, `insertion` s(S) and
    /// `deletion` s(V - S) with the first `shown` regions as S; `images_scored`.
    fn attribute(&self, task: &Task) -> Result<Attribution> {
        let params = &self.params;
        let content = content(task)?;
        let baseline = params.baseline.of(&task.image, &content)?;
        let cells = Cells::new(params.cells);
        let boxes = cells.boxes()?;
        // The padding of the baseline is the image's own.
        let mut regions = Vec::new();
        for (cell, bbox) in boxes.iter().enumerate() {
            if exchanged(&task.image, &baseline, [bbox])? != task.image {
                regions.push(cell);
            }
        }
        let scorer = Scorer {
            context: &self.context,
            task,
            target: &self.aim.of(task)?,
            batch: params.batch,
        };
        let search = Search {
            budget: params.budget,
            update_step: params.update_step,
            search_scope: params.search_scope,
            pending: params.pending,
        };
        let mut images_scored = 0;
        let order = search.order(regions.len(), |sets| {
            let scored = scorer.score(2 * sets.len(), |i| {
                let set = sets[i / 2].iter().map(|&region| &boxes[regions[region]]);
                match i % 2 {
                    0 => exchanged(&baseline, &task.image, set),
                    _ => exchanged(&task.image, &baseline, set),
                }
            })?;
            images_scored += scored.images;
            let pairs = scored.values.chunks_exact(2);
            let pair = |pair: &[f64]| Pair {
                alone: pair[0],
                without: pair[1],
            };
            Ok(pairs.map(pair).collect())
        })?;

        let side = params.cells as usize;
        let mut grid = Array2::zeros((side, side));
        for (&cell, heat) in regions.iter().zip(order.heat(params.heat)) {
            grid[(cell / side, cell % side)] = heat as f32;
        }
        let heat = normalised(cells.paint(grid.view()))?;
        let settled = order.settled();
        let empty = heat
            .is_zero()
            .then(|| "no cell changes the answer's score: the map is empty".to_owned());
        let short = (settled < regions.len()).then(|| {
            format!(
                "`budget` of {} images settled {settled} of {} cells: those in the middle share one heat",
                params.budget,
                regions.len()
            )
        });
        let points = |value: fn(&Pair) -> f64| -> Vec<f64> {
            order.points.iter().map(|(_, pair)| value(pair)).collect()
        };
        let shown: Vec<usize> = order.points.iter().map(|(shown, _)| *shown).collect();
        let evidence = [
            ("regions", json!(regions.len())),
            ("settled", json!(settled)),
            ("shown", json!(shown)),
            ("insertion", json!(points(|pair| pair.alone))),
            ("deletion", json!(points(|pair| pair.without))),
            ("images_scored", json!(images_scored)),
        ];
        Ok(Attribution {
            warnings: empty.into_iter().chain(short).collect(),
            heat: Some(heat),
            evidence: evidence
                .map(|(key, value)| (key.into(), value))
                .into_iter()
                .collect(),
            ..Attribution::default()
        })
    }
}
