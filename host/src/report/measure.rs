//! What tables say of each method: the columns.

use crate::{
    experiment::record::{MethodOutcome, MethodResult},
    metrics::{Category, Direction, METRICS, Metric, Needs},
};

/// A column of the tables.
#[derive(Clone, Copy, Debug)]
pub struct Measure {
    /// What it is.
    pub metric: Metric,
    read: Read,
}

/// Where its value is found in a result.
#[derive(Clone, Copy, Debug)]
enum Read {
    Metric,
    Empty,
    Fallback,
    Seconds,
    ModelCalls,
    Images,
}

/// Tensors sent with the operation that scores images.
const IMAGES: Metric = Metric {
    name: "images",
    title: "Images",
    category: Category::Cost,
    direction: Direction::LowerIsBetter,
    range: (0.0, f64::INFINITY),
    percent: false,
    needs: Needs::Run,
    source: "images the model scored for a result",
};

/// All columns in their order: those of [`METRICS`] that a single result has, and the images scored.
pub fn measures() -> Vec<Measure> {
    let metrics = METRICS.iter().filter_map(|metric| {
        let read = match (metric.category, metric.name) {
            (Category::Randomisation, _) => return None,
            (_, "empty") => Read::Empty,
            (_, "fallback") => Read::Fallback,
            (_, "seconds") => Read::Seconds,
            (_, "model_calls") => Read::ModelCalls,
            _ => Read::Metric,
        };
        Some(Measure {
            metric: *metric,
            read,
        })
    });
    let images = Measure {
        metric: IMAGES,
        read: Read::Images,
    };
    metrics.chain([images]).collect()
}

impl Measure {
    /// Its value in a result on the scale of tables: percent are 0 to 100. Nothing if the method failed or the measure
    /// does not apply.
    pub fn of(&self, result: &MethodResult) -> Option<f64> {
        let MethodOutcome::Scored {
            boxes,
            metrics,
            fallback,
            ..
        } = &result.outcome
        else {
            return None;
        };
        let value = match self.read {
            Read::Metric => metrics.get(self.metric.name).copied()?,
            Read::Empty => f64::from(boxes.is_empty()),
            Read::Fallback => f64::from(*fallback),
            Read::Seconds => result.seconds,
            Read::ModelCalls => model_calls(result) as f64,
            Read::Images => images(result) as f64,
        };
        Some(value * self.scale()).filter(|value| value.is_finite())
    }

    /// Whether tables give an interval: not for shares and costs.
    pub fn has_interval(&self) -> bool {
        self.metric.category != Category::Cost
    }

    /// What a value is multiplied with.
    fn scale(&self) -> f64 {
        if self.metric.percent { 100.0 } else { 1.0 }
    }

    /// A sentence for the reader: what it is, its unit and which values are good.
    pub fn legend(&self) -> String {
        let unit = if self.metric.percent {
            ", in percent"
        } else {
            ""
        };
        let good = match self.metric.direction {
            Direction::HigherIsBetter => "higher is better",
            Direction::LowerIsBetter => "lower is better",
        };
        let needs = match self.metric.needs {
            Needs::Heat => "; only methods that give a heat map",
            Needs::Boxes | Needs::Run => "",
        };
        format!("{}{unit}; {good}{needs}", self.metric.source)
    }
}

/// Calls to the model.
pub fn model_calls(result: &MethodResult) -> u64 {
    let calls = result.calls.iter();
    let model = calls.filter(|(operation, _)| operation.starts_with("model."));
    model.map(|(_, count)| count.calls).sum()
}

/// Images the model scored.
pub fn images(result: &MethodResult) -> u64 {
    let score = result.calls.get("model.score");
    score.map_or(0, |count| count.tensors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_measure_has_its_own_name_and_iou_is_the_first() {
        let mut names: Vec<&str> = measures().iter().map(|m| m.metric.name).collect();
        assert_eq!(names[0], "iou", "rows are compared by the first measure");
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(
            !names.contains(&"rank_correlation"),
            "it is no property of one result"
        );
    }
}
