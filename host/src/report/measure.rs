//! What tables say of each method: the columns.

use crate::{
    experiment::record::{MethodOutcome, MethodResult},
    metrics::{Category, Direction, METRICS, Metric},
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
    /// Among the metrics that were recorded.
    Recorded,
    /// It follows from what else was recorded.
    From(fn(&MethodResult) -> f64),
}

/// A column and how it follows from what else was recorded.
type Taken = (Metric, fn(&MethodResult) -> f64);

/// What a result takes, and how often there is none.
const TAKEN: [Taken; 5] = [
    (
        share("empty", "Empty", "share of results without evidence"),
        |result| {
            let outcome = &result.outcome;
            f64::from(matches!(outcome, MethodOutcome::Scored { boxes, .. } if boxes.is_empty()))
        },
    ),
    (
        share(
            "fallback",
            "Fallback",
            "share of results that stand for the whole image",
        ),
        |result| {
            let outcome = &result.outcome;
            f64::from(matches!(
                outcome,
                MethodOutcome::Scored { fallback: true, .. }
            ))
        },
    ),
    (
        cost("seconds", "Seconds", "wall-clock time of a result"),
        |result| result.seconds,
    ),
    (
        cost("model_calls", "Model calls", "model calls of a result"),
        |result| model_calls(result) as f64,
    ),
    (
        cost("images", "Images", "images the model scored for a result"),
        |result| images(result) as f64,
    ),
];

const fn cost(name: &'static str, title: &'static str, source: &'static str) -> Metric {
    Metric {
        name,
        title,
        category: Category::Cost,
        direction: Direction::LowerIsBetter,
        percent: false,
        needs_heat: false,
        source,
    }
}

const fn share(name: &'static str, title: &'static str, source: &'static str) -> Metric {
    Metric {
        category: Category::Absence,
        percent: true,
        ..cost(name, title, source)
    }
}

/// All columns in their order: the recorded metrics, then what a result takes.
pub fn measures() -> Vec<Measure> {
    let recorded = METRICS.iter().map(|(metric, _)| Measure {
        metric: *metric,
        read: Read::Recorded,
    });
    let taken = TAKEN.iter().map(|(metric, of)| Measure {
        metric: *metric,
        read: Read::From(*of),
    });
    recorded.chain(taken).collect()
}

impl Measure {
    /// Its value in a result on the scale of tables: percent are 0 to 100. Nothing if the method failed or the measure
    /// does not apply.
    pub fn of(&self, result: &MethodResult) -> Option<f64> {
        let MethodOutcome::Scored { metrics, .. } = &result.outcome else {
            return None;
        };
        let value = match self.read {
            Read::Recorded => metrics.get(self.metric.name).copied()?,
            Read::From(of) => of(result),
        };
        Some(value * self.scale()).filter(|value| value.is_finite())
    }

    /// Whether tables give an interval: not for shares and costs.
    pub fn has_interval(&self) -> bool {
        !matches!(self.metric.category, Category::Absence | Category::Cost)
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
        let needs = if self.metric.needs_heat {
            "; only methods that give a heat map"
        } else {
            ""
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
    }
}
