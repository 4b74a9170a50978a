//! What a result is worth: regions and heat maps against the annotated truth, and faithfulness.
//!
//! [`METRICS`] lists every metric with the function that computes it. A metric of its own is an entry there: records,
//! tables, tuning and the report take it from the list.

use medfocus_plugin_api::{BBox, HeatMap, Working};

pub mod curves;
mod naming;
mod overlap;
mod pointing;
mod ranking;

pub use naming::naming;
pub use overlap::{Overlap, overlap, union_area};
pub use pointing::pointing_game;
pub use ranking::{auprc, rank_correlation};

/// A column of numbers about results.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name in records.
    pub name: &'static str,
    /// Its name in tables.
    pub title: &'static str,
    /// What it is about.
    pub category: Category,
    /// Which values are good.
    pub direction: Direction,
    /// Whether tables show it in percent.
    pub percent: bool,
    /// Whether only methods that give a heat map have it.
    pub needs_heat: bool,
    /// Where it is defined.
    pub source: &'static str,
}

/// What a metric is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    /// Whether the found region is the annotated one.
    Agreement,
    /// Whether the heat lies where it is annotated.
    Pointing,
    /// Whether the model depends on the evidence.
    Faithfulness,
    /// How often there is no evidence.
    Absence,
    /// What a result takes.
    Cost,
}

/// Which values are good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Large ones.
    HigherIsBetter,
    /// Small ones.
    LowerIsBetter,
}

/// All that is known of a method's result for a sample.
#[derive(Clone, Debug)]
pub struct Judged<'a> {
    /// How the found region overlaps the annotated one, in the native image.
    pub overlap: Overlap,
    /// The heat map, if the method gives one.
    pub heat: Option<&'a HeatMap>,
    /// The annotated region in the working image, the heat map's frame.
    pub truth: &'a [BBox<Working>],
    /// The answer's mean token probability at each step of deletion and insertion, where they were asked for.
    pub curves: Option<[Vec<f64>; 2]>,
    /// What editing the found region does to the answer, where that was asked for.
    pub flips: Option<Flips>,
}

/// What editing does to the answer yes: of the found region, and of a random one of the same shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flips {
    /// Of the found region.
    pub found: Turn,
    /// Of the random one.
    pub random: Turn,
}

/// What editing a region does to the answer yes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// Whether it turns to no when the region is edited.
    pub flip: bool,
    /// Whether it stays when all but the region is.
    pub keep: bool,
}

/// A metric and how it is computed: nothing where it does not apply.
pub type Computed = (Metric, fn(&Judged<'_>) -> Option<f64>);

/// Jaccard's index of the regions, which tables compare methods by.
pub const IOU: Metric = region(
    "iou",
    "IoU",
    "Jaccard index of the two regions (Everingham et al., IJCV 2010)",
);

/// Dice's coefficient of the regions.
pub const F1: Metric = region(
    "f1",
    "F1",
    "harmonic mean of precision and recall: Dice's coefficient of the two regions",
);

/// Every metric of a result, in the order of tables.
pub const METRICS: &[Computed] = &[
    (IOU, |judged| Some(judged.overlap.iou)),
    (F1, |judged| Some(judged.overlap.f1)),
    (
        region(
            "precision",
            "Precision",
            "share of the found region that is annotated",
        ),
        |judged| Some(judged.overlap.precision),
    ),
    (
        region(
            "recall",
            "Recall",
            "share of the annotated region that is found",
        ),
        |judged| Some(judged.overlap.recall),
    ),
    (
        heat(
            "pointing_game",
            "Pointing game",
            "how often the hottest pixel lies in the annotated region (Zhang et al., IJCV 2018, without tolerance)",
        ),
        |judged| pointing_game(judged.heat?, judged.truth),
    ),
    (
        heat(
            "auprc",
            "AUPRC",
            "area under precision and recall of the pixels, hottest first (Davis and Goadrich, ICML 2006)",
        ),
        |judged| auprc(judged.heat?, judged.truth),
    ),
    (
        Metric {
            direction: Direction::LowerIsBetter,
            ..curve(
                "deletion_auc",
                "Deletion AUC",
                "mean probability of the answer's tokens while the hottest pixels turn black (Petsiuk et al., BMVC 2018)",
            )
        },
        |judged| curves::auc(&judged.curves.as_ref()?[0]),
    ),
    (
        curve(
            "insertion_auc",
            "Insertion AUC",
            "the same while the hottest pixels come back on black (Petsiuk et al., BMVC 2018)",
        ),
        |judged| curves::auc(&judged.curves.as_ref()?[1]),
    ),
    (
        turn(
            "flip",
            "Flip",
            "how often the answer turns to no when the found region is edited to show no finding",
        ),
        |judged| Some(f64::from(judged.flips?.found.flip)),
    ),
    (
        turn(
            "flip_gain",
            "Flip gain",
            "the same less how often it turns with a random region of the same shape",
        ),
        |judged| Some(difference(judged.flips?, |turn| turn.flip)),
    ),
    (
        turn(
            "keep",
            "Keep",
            "how often the answer stays yes when all but the found region is edited to show no finding",
        ),
        |judged| Some(f64::from(judged.flips?.found.keep)),
    ),
    (
        turn(
            "keep_gain",
            "Keep gain",
            "the same less how often it stays with a random region of the same shape",
        ),
        |judged| Some(difference(judged.flips?, |turn| turn.keep)),
    ),
];

fn difference(flips: Flips, of: fn(Turn) -> bool) -> f64 {
    f64::from(of(flips.found)) - f64::from(of(flips.random))
}

const fn turn(name: &'static str, title: &'static str, source: &'static str) -> Metric {
    Metric {
        category: Category::Faithfulness,
        ..region(name, title, source)
    }
}

const fn region(name: &'static str, title: &'static str, source: &'static str) -> Metric {
    Metric {
        name,
        title,
        category: Category::Agreement,
        direction: Direction::HigherIsBetter,
        percent: true,
        needs_heat: false,
        source,
    }
}

const fn heat(name: &'static str, title: &'static str, source: &'static str) -> Metric {
    Metric {
        category: Category::Pointing,
        needs_heat: true,
        ..region(name, title, source)
    }
}

const fn curve(name: &'static str, title: &'static str, source: &'static str) -> Metric {
    Metric {
        category: Category::Faithfulness,
        percent: false,
        ..heat(name, title, source)
    }
}
