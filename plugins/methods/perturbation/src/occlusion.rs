//! Occlusion sensitivity (Zeiler and Fergus, ECCV 2014, section 4.2) of a vision-language model's answer.

use medfocus_plugin_api::{
    Ability, Attribution, AttributionMethod, BBox, Component, Context, Error, GrayImage, HeatMap,
    Result, Slot, Task, WORKING_SIDE, Working, choices, heat, params,
};
use ndarray::{Array2, ArrayView2, s};
use serde_json::json;

use crate::{Baseline, Cells, Scorer, Span, Target};

choices! {
    /// How cells become a map of pixels.
    pub enum Upsample {
        /// Each pixel holds the drop of the cell it was hidden with: no finer than what was measured.
        Cells = "cells",
        /// Bilinear between the cells' centres.
        Bilinear = "bilinear",
    }
}

params! {
    /// Parameters of [`Occlusion`].
    pub struct OcclusionParams {
        /// Cells along each side of the working image.
        pub cells: u32 = 8, in 1..=224;
        /// What replaces a cell.
        pub baseline: Baseline = "zero";
        /// The answer's score, whose drop is the evidence.
        pub target: Target = "mean_probability";
        /// Which tokens count as the answer.
        pub answer_span: Span = "answer";
        /// How cells become a map of pixels.
        pub upsample: Upsample = "cells";
        /// Images a model call; changes speed and memory, not the result.
        pub batch: usize = 16, in 1..=4096;
    }
}

/// Occlusion: hides one cell of the image after the other. With s the answer's score,
///
/// heat of a cell = max(0, s(image) - s(image without the cell)).
///
/// A letterbox's padding is not part of the image and is never replaced. A cell that hiding does not change (all
/// padding, or equal to the baseline) has drop 0 without a model call; no two other images are equal, so no image
/// is scored twice.
pub struct Occlusion {
    context: Context,
    params: OcclusionParams,
}

impl Component for Occlusion {
    const NAME: &'static str = "occlusion";
    const SUMMARY: &'static str =
        "Occlusion sensitivity (Zeiler and Fergus, ECCV 2014): one score for each hidden cell.";
    const SLOTS: &'static [Slot] = &[Slot::model(&[Ability::Score])];
    type Params = OcclusionParams;

    fn new(params: OcclusionParams, context: Context) -> Result<Self> {
        Ok(Self { context, params })
    }
}

impl AttributionMethod for Occlusion {
    fn attribute(&self, task: &Task) -> Result<Attribution> {
        let params = &self.params;
        let cells = Cells::new(params.cells);
        let side = params.cells as usize;
        let hidden = Hidden::new(task, params.baseline, cells)?;
        let scorer = Scorer {
            context: &self.context,
            task,
            target: params.target,
            span: params.answer_span,
            batch: params.batch,
        };
        // The image itself first, then the ones that lack a cell.
        let scores = scorer.score(1 + hidden.cells.len(), |i| match i {
            0 => Ok(task.image.clone()),
            i => hidden.image(i - 1),
        })?;

        let mut drops = vec![0.0; side * side];
        for ((cell, _), score) in hidden.cells.iter().zip(&scores[1..]) {
            drops[*cell] = (scores[0] - score).max(0.0);
        }
        let rows: Vec<_> = drops.chunks(side).collect();
        let evidence = [
            ("s0", json!(scores[0])),
            ("drops", json!(rows)),
            ("images_scored", json!(scores.len())),
        ];

        let drops = Array2::from_shape_fn((side, side), |(r, c)| drops[r * side + c] as f32);
        let heat = match params.upsample {
            Upsample::Bilinear => HeatMap::from_grid(drops.view())?,
            Upsample::Cells => {
                let mut painted = cells.paint(drops.view());
                heat::normalise(&mut painted);
                HeatMap::from_array(painted)?
            }
        };
        let empty =
            "hiding no cell lowers the answer's score more than any other: the map is empty";
        Ok(Attribution {
            warnings: heat.is_zero().then(|| empty.into()).into_iter().collect(),
            heat: Some(heat),
            evidence: evidence
                .map(|(key, value)| (key.into(), value))
                .into_iter()
                .collect(),
            ..Attribution::default()
        })
    }
}

/// The images that lack one cell, without those that are the image itself.
struct Hidden<'a> {
    image: &'a GrayImage,
    baseline: GrayImage,
    /// Number of the cell, and what of it is not padding.
    cells: Vec<(usize, BBox<Working>)>,
}

impl<'a> Hidden<'a> {
    fn new(task: &'a Task, baseline: Baseline, cells: Cells) -> Result<Self> {
        let image = &task.image;
        let whole = BBox::<Working>::whole(image.width(), image.height());
        if whole != BBox::whole(WORKING_SIDE, WORKING_SIDE) {
            return Err(Error::invalid(format!(
                "a working image has {WORKING_SIDE} x {WORKING_SIDE} pixels, got {} x {}",
                image.width(),
                image.height()
            )));
        }
        let content = task.letterbox.content().clip(WORKING_SIDE, WORKING_SIDE);
        let content = content
            .ok_or_else(|| Error::invalid("the letterbox leaves nothing of the working image"))?;
        let baseline = baseline.of(image, &content)?;
        let cells = cells.boxes()?.into_iter().enumerate();
        let cells = cells
            .filter_map(|(number, cell)| Some((number, cell.intersection(&content)?)))
            .filter(|(_, cell)| inside(image, cell) != inside(&baseline, cell))
            .collect();
        Ok(Self {
            image,
            baseline,
            cells,
        })
    }

    /// The image without the `i`-th of `cells`.
    fn image(&self, i: usize) -> Result<GrayImage> {
        let cell = &self.cells[i].1;
        let [x1, y1, x2, y2] = cell.corners().map(|c| c as usize);
        let mut pixels = self.image.view().to_owned();
        pixels
            .slice_mut(s![y1..y2, x1..x2])
            .assign(&inside(&self.baseline, cell));
        GrayImage::from_array(pixels)
    }
}

/// The pixels of the box.
fn inside<'a>(image: &'a GrayImage, cell: &BBox<Working>) -> ArrayView2<'a, u8> {
    let [x1, y1, x2, y2] = cell.corners().map(|c| c as usize);
    image.view().slice_move(s![y1..y2, x1..x2])
}
