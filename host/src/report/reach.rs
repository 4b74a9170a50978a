//! How far a method could get with the concepts it has.

use medfocus_plugin_api::{Letterbox, WORKING_SIDE};

use crate::{
    evidence::Weighed,
    experiment::record::{MethodOutcome, MethodResult, Subject},
    metrics,
};

/// How the values are to be read.
pub const READING: &str = "The best concept is, sample by sample, the one whose boxes overlap the truth most: no choice \
                           among the concepts, as they were found, could score higher. What is missing to 100 is for \
                           finer concepts and for better boxes of them.";

/// Mean IoU over the scored results that weigh concepts with boxes, in percent.
#[derive(Clone, Debug, PartialEq)]
pub struct Reach {
    /// Method.
    pub method: String,
    /// How many results that are.
    pub samples: usize,
    /// Of what the method chose.
    pub chosen: f64,
    /// Of the best concept.
    pub best: f64,
}

impl Reach {
    /// Of a method, by the IoU of what it chose and of the best of its concepts; nothing if it never says where these are.
    pub fn of(method: &str, ious: &[(f64, f64)]) -> Option<Self> {
        let mean = |of: fn(&(f64, f64)) -> f64| {
            100.0 * ious.iter().map(of).sum::<f64>() / ious.len() as f64
        };
        (!ious.is_empty()).then(|| Self {
            method: method.to_owned(),
            samples: ious.len(),
            chosen: mean(|(chosen, _)| *chosen),
            best: mean(|(_, best)| *best),
        })
    }
}

/// IoU of what a method chose and of the best of its concepts, if it says where these are.
pub fn ious(subject: &Subject, result: &MethodResult) -> Option<(f64, f64)> {
    let (width, height) = subject.size;
    let letterbox = Letterbox::new(width, height, WORKING_SIDE).ok()?;
    let MethodOutcome::Scored {
        metrics, evidence, ..
    } = &result.outcome
    else {
        return None;
    };
    let overlaps = Weighed::of(evidence)?.concepts.into_iter().map(|concept| {
        let boxes = concept.boxes.iter();
        let native = Vec::from_iter(boxes.filter_map(|bbox| letterbox.to_native(bbox)));
        (!native.is_empty()).then(|| metrics::overlap(&native, &subject.truth).iou)
    });
    Some((
        *metrics.get(metrics::IOU.name)?,
        overlaps.flatten().reduce(f64::max)?,
    ))
}
