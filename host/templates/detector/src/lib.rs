//! A detector for MedFocus: knows where the organs of a frontal chest radiograph usually lie.

use medfocus_plugin_api::{
    BBox, Component, Context, DetectRequest, Detector, Result, ScoredBox, params,
};

params! {
    /// Parameters of [`AnatomyPrior`].
    pub struct PriorParams {
        /// Size of the boxes: 1 as they are listed, 2 twice as wide and high about their middle.
        pub scale: f64 = 1.0, in 0.5..=2;
    }
}

/// Organs by name: x1, y1, x2, y2 as shares of width and height, and how well the place is known, 0 to 1. Sides are the
/// patient's: the right lung lies on the left of the image.
const ORGANS: [(&str, [f64; 4], f64); 4] = [
    ("right lung", [0.10, 0.12, 0.46, 0.82], 0.6),
    ("left lung", [0.54, 0.12, 0.90, 0.82], 0.6),
    ("cardiac silhouette", [0.36, 0.45, 0.74, 0.82], 0.5),
    ("mediastinum", [0.38, 0.10, 0.62, 0.80], 0.4),
];

/// Finds organs where they usually lie, without looking.
pub struct AnatomyPrior {
    params: PriorParams,
    context: Context,
}

impl Component for AnatomyPrior {
    const NAME: &'static str = "template_name";
    const SUMMARY: &'static str = "Where the organs usually lie in a frontal chest radiograph.";
    type Params = PriorParams;

    fn new(params: PriorParams, context: Context) -> Result<Self> {
        Ok(Self { params, context })
    }
}

impl Detector for AnatomyPrior {
    fn detect(&self, request: &DetectRequest) -> Result<Vec<Vec<ScoredBox>>> {
        let total = request.phrases.len();
        let mut lists = Vec::with_capacity(total);
        for (number, phrase) in request.phrases.iter().enumerate() {
            self.context
                .step(number as u64, total as u64, "looking up")?;
            let mut found: Vec<_> = ORGANS
                .iter()
                .filter(|(name, _, score)| phrase.contains(name) && *score >= request.threshold)
                .filter_map(|(_, place, score)| self.found(request, phrase, *place, *score))
                .collect();
            found.sort_by(|a, b| b.score.total_cmp(&a.score));
            found.truncate(request.limit as usize);
            lists.push(found);
        }
        Ok(lists)
    }
}

impl AnatomyPrior {
    fn found(
        &self,
        request: &DetectRequest,
        phrase: &str,
        [x1, y1, x2, y2]: [f64; 4],
        score: f64,
    ) -> Option<ScoredBox> {
        let (width, height) = (request.image.width(), request.image.height());
        let sides = |low: f64, high: f64, size: u32| {
            let (middle, half) = ((low + high) / 2.0, self.params.scale * (high - low) / 2.0);
            [middle - half, middle + half].map(|edge| edge * f64::from(size))
        };
        let ([x1, x2], [y1, y2]) = (sides(x1, x2, width), sides(y1, y2, height));
        Some(ScoredBox {
            bbox: BBox::nearest([x1, y1, x2, y2], width, height)?,
            score,
            label: Some(phrase.to_owned()),
        })
    }
}

medfocus_plugin_api::export_plugin! {
    detector AnatomyPrior;
}
