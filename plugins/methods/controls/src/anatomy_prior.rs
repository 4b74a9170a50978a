//! Where a finding usually is, as evidence.

use std::collections::BTreeMap;

use medfocus_attribution::{Once, Samples, WORKING_DIM, content, letterbox, parts, read_samples};
use medfocus_plugin_api::{
    Attribution, AttributionMethod, Component, Context, Error, HeatMap, Kind, Result, ScoredBox,
    Slot, Task, params,
};
use ndarray::{Array2, s};
use serde_json::{Map, json};

params! {
    /// Parameters of [`AnatomyPrior`].
    pub struct AnatomyPriorParams {
        /// Samples of `tuning` to read, from its first, whatever they are about.
        pub samples: u64 = 400, in 1..=1000000;
        /// Share of the map's maximum from which on a pixel counts as evidence.
        pub level: f64 = 0.5, in 0.01..=1;
    }
}

/// Blames the place where the finding was annotated in other images: the mean, over the samples of a tuning split
/// that are annotated with it, of the region that their boxes cover in the working image.
///
/// It knows the question but has not seen the image: a method must do better to have looked. The slot `tuning` holds
/// a dataset apart from the one that is scored; it is read once, at the first task. Names of findings are compared
/// without regard to case.
pub struct AnatomyPrior {
    context: Context,
    params: AnatomyPriorParams,
    prior: Once<Prior>,
}

impl Component for AnatomyPrior {
    const NAME: &'static str = "anatomy_prior";
    const SUMMARY: &'static str =
        "Control: where the finding is annotated in a tuning split on average; asks no model.";
    const SLOTS: &'static [Slot] = &[Slot::required("tuning", Kind::Dataset)];
    type Params = AnatomyPriorParams;

    fn new(params: AnatomyPriorParams, context: Context) -> Result<Self> {
        Ok(Self {
            context,
            params,
            prior: Once::default(),
        })
    }
}

impl AttributionMethod for AnatomyPrior {
    /// The mean region divided by its maximum inside the image as a map; each 8-connected part of it at or above
    /// `level` as a box, its score the map's mean there, strongest first. Evidence: `annotated`, the number of samples
    /// that the mean is over.
    fn attribute(&self, task: &Task) -> Result<Attribution> {
        let image = content(task)?;
        let finding = task.finding.as_deref().ok_or_else(|| {
            Error::invalid("`anatomy_prior` needs to know which finding the question is about")
                .with_hint("explain samples of a dataset, which name it")
        })?;
        let prior = self
            .prior
            .get(|| Prior::read(&self.context, self.params.samples))?;
        let mut warnings = Vec::new();
        if prior.includes(task) {
            warnings.push(format!(
                "this sample is one of those in slot `tuning` (dataset `{}`): its own boxes are part of the mean",
                prior.samples.dataset
            ));
        }
        let place = prior.places.get(&key(finding));
        let annotated = place.map_or(0, |place| place.samples);
        let mean =
            place.and_then(|place| place.relative(|y, x| image.contains(x as u32, y as u32)));
        let evidence = Map::from_iter([("annotated".to_owned(), json!(annotated))]);
        let Some(mean) = mean else {
            warnings.push(format!(
                "`{finding}` is not annotated in the first {} samples of dataset `{}`: there are no boxes",
                prior.samples.read, prior.samples.dataset
            ));
            return Ok(Attribution {
                boxes: Some(Vec::new()),
                evidence,
                warnings,
                ..Attribution::default()
            });
        };
        Ok(Attribution {
            boxes: Some(boxes(&mean, self.params.level)),
            heat: Some(HeatMap::from_array(mean.mapv(|value| value as f32))?),
            evidence,
            warnings,
            ..Attribution::default()
        })
    }
}

/// What a tuning split says about each finding.
struct Prior {
    samples: Samples,
    places: BTreeMap<String, Place>,
}

/// In how many of the samples annotated with a finding a pixel lies in one of its boxes.
struct Place {
    counts: Array2<u32>,
    samples: u32,
}

impl Prior {
    fn read(context: &Context, limit: u64) -> Result<Self> {
        let mut places: BTreeMap<String, Place> = BTreeMap::new();
        let samples = read_samples(context, "tuning", limit, |sample| {
            let letterbox = letterbox(&sample)?;
            let mut covered = Array2::from_elem(WORKING_DIM, 0);
            for bbox in sample.boxes.iter().filter_map(|b| letterbox.to_working(b)) {
                let [x1, y1, x2, y2] = bbox.corners().map(|c| c as usize);
                covered.slice_mut(s![y1..y2, x1..x2]).fill(1);
            }
            if covered.iter().any(|&pixel| pixel > 0) {
                let place = places.entry(key(&sample.finding)).or_insert_with(|| Place {
                    counts: Array2::zeros(WORKING_DIM),
                    samples: 0,
                });
                place.counts += &covered;
                place.samples += 1;
            }
            Ok(())
        })?;
        Ok(Self { samples, places })
    }

    /// Whether the task's sample is one of those read.
    fn includes(&self, task: &Task) -> bool {
        task.sample.as_ref().is_some_and(|sample| {
            sample.dataset == self.samples.dataset && sample.index < self.samples.read
        })
    }
}

impl Place {
    /// The mean region as a share of its maximum over the pixels inside, 0 outside; nothing if that is 0.
    fn relative(&self, inside: impl Fn(usize, usize) -> bool) -> Option<Array2<f64>> {
        let mut values = self.counts.mapv(f64::from);
        for ((y, x), value) in values.indexed_iter_mut() {
            if !inside(y, x) {
                *value = 0.0;
            }
        }
        let maximum = values.iter().copied().fold(0.0, f64::max);
        (maximum > 0.0).then(|| values / maximum)
    }
}

fn boxes(mean: &Array2<f64>, level: f64) -> Vec<ScoredBox> {
    let mut boxes: Vec<_> = parts(mean.mapv(|value| value >= level).view())
        .iter()
        .filter_map(|part| {
            let sum: f64 = part.pixels.iter().map(|&at| mean[at]).sum();
            Some(ScoredBox {
                bbox: part.bbox()?,
                score: sum / part.pixels.len() as f64,
                label: None,
            })
        })
        .collect();
    boxes.sort_by(|a, b| b.score.total_cmp(&a.score));
    boxes
}

/// A finding's name as it is compared.
fn key(finding: &str) -> String {
    finding.trim().to_lowercase()
}
