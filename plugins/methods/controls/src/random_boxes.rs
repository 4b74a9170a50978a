//! Boxes anywhere as evidence.

use medfocus_attribution::{Draws, Once, content, letterbox, read_samples};
use medfocus_plugin_api::{
    Attribution, AttributionMethod, BBox, Component, Context, Kind, Result, ScoredBox, Slot, Task,
    Working, params,
};
use serde_json::{Map, json};

use crate::share::size;

params! {
    /// Parameters of [`RandomBoxes`].
    pub struct RandomBoxesParams {
        /// Area of all boxes together as a share of the image's; unused if `tuning` is filled.
        pub share: f64 = 0.25, in 0.0001..=1;
        /// Boxes; unused if `tuning` is filled.
        pub count: u32 = 1, in 1..=100;
        /// Samples of `tuning` to read.
        pub samples: u64 = 400, in 1..=1000000;
    }
}

/// Blames boxes of the image's shape that lie anywhere in it with equal chance, whether or not they overlap.
///
/// Where the slot `tuning` holds a dataset, the areas are matched to its annotations: number and shares of the boxes
/// are those of one of its annotated samples, each drawn with equal chance.
///
/// The task's seed and the sample's number determine the result: another sample gets other boxes of the same seed.
pub struct RandomBoxes {
    context: Context,
    params: RandomBoxesParams,
    annotations: Once<Vec<Vec<f64>>>,
}

impl Component for RandomBoxes {
    const NAME: &'static str = "random_boxes";
    const SUMMARY: &'static str =
        "Control: boxes in random places, their areas matched to annotations; asks no model.";
    const SLOTS: &'static [Slot] = &[Slot::optional("tuning", Kind::Dataset)];
    type Params = RandomBoxesParams;

    fn new(params: RandomBoxesParams, context: Context) -> Result<Self> {
        Ok(Self {
            context,
            params,
            annotations: Once::default(),
        })
    }
}

impl AttributionMethod for RandomBoxes {
    /// Boxes of score 1; evidence: their `shares` as asked for.
    fn attribute(&self, task: &Task) -> Result<Attribution> {
        let image = content(task)?;
        let stream = task.sample.as_ref().map_or(0, |sample| sample.index);
        let mut draws = Draws::new(task.seed, stream);
        let mut warnings = Vec::new();
        let shares = if self.context.filled("tuning") {
            let annotations = self.annotations.get(|| self.read())?;
            let drawn = draws.below(annotations.len() as u32) as usize;
            annotations.get(drawn).cloned().unwrap_or_else(|| {
                warnings.push("no sample in slot `tuning` is annotated: there are no boxes".into());
                Vec::new()
            })
        } else {
            let count = self.params.count;
            vec![self.params.share / f64::from(count); count as usize]
        };
        let boxes = shares.iter().map(|&share| {
            Ok(ScoredBox {
                bbox: place(&image, share, &mut draws)?,
                score: 1.0,
                label: None,
            })
        });
        Ok(Attribution {
            boxes: Some(boxes.collect::<Result<_>>()?),
            evidence: Map::from_iter([("shares".to_owned(), json!(shares))]),
            warnings,
            ..Attribution::default()
        })
    }
}

impl RandomBoxes {
    /// Each annotated sample's boxes as shares of its image.
    fn read(&self) -> Result<Vec<Vec<f64>>> {
        let mut annotations = Vec::new();
        read_samples(&self.context, "tuning", self.params.samples, |sample| {
            let letterbox = letterbox(&sample)?;
            let image = letterbox.content().area() as f64;
            let boxes = sample.boxes.iter().filter_map(|b| letterbox.to_working(b));
            let shares: Vec<_> = boxes.map(|bbox| bbox.area() as f64 / image).collect();
            annotations.extend((!shares.is_empty()).then_some(shares));
            Ok(())
        })?;
        Ok(annotations)
    }
}

fn place(image: &BBox<Working>, share: f64, draws: &mut Draws) -> Result<BBox<Working>> {
    let (width, height) = size(image, share);
    let [left, top, ..] = image.corners();
    let x = left + draws.below(image.width() - width + 1);
    let y = top + draws.below(image.height() - height + 1);
    BBox::new(x, y, x + width, y + height)
}
