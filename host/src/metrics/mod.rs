//! What a result is worth: regions and heat maps against the annotated truth, and faithfulness.
//!
//! [`METRICS`] lists every metric by the name that records and tables use.

use serde::Serialize;

pub mod curves;
mod overlap;
mod pointing;
mod ranking;

pub use overlap::{Overlap, overlap, union_area};
pub use pointing::pointing_game;
pub use ranking::{auprc, rank_correlation};

/// What a metric measures, for tables.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Metric {
    /// Its name in records.
    pub name: &'static str,
    /// Its name in tables.
    pub title: &'static str,
    /// What it is about.
    pub category: Category,
    /// Which values are good.
    pub direction: Direction,
    /// The least and the greatest value of a sample; infinity becomes `null` in JSON.
    pub range: (f64, f64),
    /// Whether tables show it in percent.
    pub percent: bool,
    /// What it is computed from.
    pub needs: Needs,
    /// Where it is defined.
    pub source: &'static str,
}

/// What a metric is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// Whether the evidence lies where it is annotated.
    Localisation,
    /// Whether the model depends on the evidence.
    Faithfulness,
    /// Whether the evidence depends on the model, the question and the image.
    Randomisation,
    /// What a result takes, and how often there is none.
    Cost,
}

/// Which values are good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Large ones.
    HigherIsBetter,
    /// Small ones.
    LowerIsBetter,
}

/// What a metric is computed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Needs {
    /// The boxes, which every result has.
    Boxes,
    /// The heat map, which not every method gives.
    Heat,
    /// Only that the method was asked.
    Run,
}

/// The metric of this name.
pub fn metric(name: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|metric| metric.name == name)
}

/// Every metric, in the order of tables.
pub const METRICS: &[Metric] = &[
    region(
        "iou",
        "IoU",
        "Jaccard index of the two regions (Everingham et al., IJCV 2010)",
    ),
    region(
        "f1",
        "F1",
        "harmonic mean of precision and recall: Dice's coefficient of the two regions",
    ),
    region(
        "precision",
        "Precision",
        "share of the found region that is annotated",
    ),
    region(
        "recall",
        "Recall",
        "share of the annotated region that is found",
    ),
    Metric {
        needs: Needs::Heat,
        ..region(
            "pointing_game",
            "Pointing game",
            "how often the hottest pixel lies in the annotated region (Zhang et al., IJCV 2018, without tolerance)",
        )
    },
    Metric {
        needs: Needs::Heat,
        ..region(
            "auprc",
            "AUPRC",
            "area under precision and recall of the pixels, hottest first (Davis and Goadrich, ICML 2006)",
        )
    },
    Metric {
        direction: Direction::LowerIsBetter,
        ..curve(
            "deletion_auc",
            "Deletion AUC",
            "mean probability of the answer's tokens while the hottest pixels turn black (Petsiuk et al., BMVC 2018)",
        )
    },
    curve(
        "insertion_auc",
        "Insertion AUC",
        "the same while the hottest pixels come back on black (Petsiuk et al., BMVC 2018)",
    ),
    Metric {
        name: "rank_correlation",
        title: "Rank correlation",
        category: Category::Randomisation,
        direction: Direction::LowerIsBetter,
        range: (-1.0, 1.0),
        percent: false,
        needs: Needs::Heat,
        source: "Spearman's correlation of two maps (Adebayo et al., NeurIPS 2018)",
    },
    Metric {
        category: Category::Randomisation,
        direction: Direction::LowerIsBetter,
        ..region(
            "region_iou",
            "Region IoU",
            "Jaccard index of two results' regions (after Adebayo et al., NeurIPS 2018)",
        )
    },
    Metric {
        percent: true,
        range: (0.0, 1.0),
        ..cost("empty", "Empty", "share of results without evidence")
    },
    Metric {
        percent: true,
        range: (0.0, 1.0),
        ..cost(
            "fallback",
            "Fallback",
            "share of results that stand for the whole image",
        )
    },
    cost("seconds", "Seconds", "wall-clock time of a result"),
    cost("model_calls", "Model calls", "model calls of a result"),
];

const fn region(name: &'static str, title: &'static str, source: &'static str) -> Metric {
    Metric {
        name,
        title,
        category: Category::Localisation,
        direction: Direction::HigherIsBetter,
        range: (0.0, 1.0),
        percent: true,
        needs: Needs::Boxes,
        source,
    }
}

const fn curve(name: &'static str, title: &'static str, source: &'static str) -> Metric {
    Metric {
        name,
        title,
        category: Category::Faithfulness,
        direction: Direction::HigherIsBetter,
        range: (0.0, 1.0),
        percent: false,
        needs: Needs::Heat,
        source,
    }
}

const fn cost(name: &'static str, title: &'static str, source: &'static str) -> Metric {
    Metric {
        name,
        title,
        category: Category::Cost,
        direction: Direction::LowerIsBetter,
        range: (0.0, f64::INFINITY),
        percent: false,
        needs: Needs::Run,
        source,
    }
}
