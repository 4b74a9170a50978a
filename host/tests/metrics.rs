//! Metrics: known answers and laws.

use std::collections::BTreeSet;

use medfocus::metrics::{
    Direction, Flips, Judged, METRICS, Overlap, Turn, auprc,
    curves::{auc, images},
    overlap, pointing_game, rank_correlation, union_area,
};
use medfocus_plugin_api::{BBox, Frame, GrayImage, HeatMap, Native, WORKING_SIDE, Working};
use ndarray::{Array2, s};
use proptest::prelude::*;

const SIDE: usize = WORKING_SIDE as usize;

fn bbox<F: Frame>([x1, y1, x2, y2]: [u32; 4]) -> BBox<F> {
    BBox::new(x1, y1, x2, y2).unwrap()
}

/// A map with these values inside these half-open boxes, later ones on top.
fn heat(patches: &[([usize; 4], f32)]) -> HeatMap {
    let mut values = Array2::zeros((SIDE, SIDE));
    for &([x1, y1, x2, y2], value) in patches {
        values.slice_mut(s![y1..y2, x1..x2]).fill(value);
    }
    HeatMap::from_array(values).unwrap()
}

fn flat(value: u8) -> GrayImage {
    GrayImage::from_array(Array2::from_elem((SIDE, SIDE), value)).unwrap()
}

#[test]
fn overlap_by_hand() {
    let truth = [bbox::<Native>([0, 0, 10, 10])];
    let found = [bbox([5, 0, 15, 10]), bbox([5, 0, 15, 5])];
    let expected = Overlap {
        iou: 50.0 / 150.0,
        precision: 0.5,
        recall: 0.5,
        f1: 0.5,
    };
    assert_eq!(overlap(&found, &truth), expected);
    // 36 of 100 pixels, in two boxes that overlap in 4.
    let inside = [bbox([1, 1, 5, 6]), bbox([3, 4, 8, 8])];
    assert_eq!(union_area(&inside), 36);
    let found = overlap(&inside, &truth);
    assert_eq!(
        (found.iou, found.precision, found.recall),
        (0.36, 1.0, 0.36)
    );
    assert_eq!(found.f1, 72.0 / 136.0);
}

#[test]
fn empty_regions_agree_only_with_each_other() {
    let some = [bbox::<Native>([3, 3, 4, 4])];
    let all = |value| Overlap {
        iou: value,
        precision: value,
        recall: value,
        f1: value,
    };
    assert_eq!(overlap::<Native>(&[], &[]), all(1.0));
    assert_eq!(overlap(&some, &[]), all(0.0));
    assert_eq!(overlap(&[], &some), all(0.0));
    assert_eq!(overlap(&some, &some), all(1.0));
    assert_eq!(union_area::<Native>(&[]), 0);
}

#[test]
fn the_largest_boxes_are_still_exact() {
    const MAX: u32 = u32::MAX;
    let whole = [bbox::<Native>([0, 0, MAX, MAX])];
    assert_eq!(union_area(&whole), u64::from(MAX) * u64::from(MAX));
    let but_one = [bbox::<Native>([1, 0, MAX, MAX]), bbox([0, 1, MAX, MAX])];
    assert_eq!(union_area(&but_one), u64::from(MAX) * u64::from(MAX) - 1);
    let halves = [bbox([0, 0, 1 << 31, MAX]), bbox([1 << 31, 0, MAX, MAX])];
    assert_eq!(overlap(&halves, &whole).iou, 1.0);
    // Areas whose sum does not fit 64 bits.
    assert_eq!(overlap(&whole, &whole).f1, 1.0);
}

#[test]
fn the_game_is_won_where_the_peak_lies_in_a_box() {
    let truth = [bbox::<Working>([10, 10, 20, 20])];
    let game = |patches: &[_]| pointing_game(&heat(patches), &truth);
    assert_eq!(
        game(&[([0, 0, 50, 50], 0.5), ([19, 19, 20, 20], 0.6)]),
        Some(1.0)
    );
    assert_eq!(
        game(&[([10, 10, 20, 20], 0.5), ([20, 19, 21, 20], 0.6)]),
        Some(0.0)
    );
    assert_eq!(
        game(&[([18, 10, 22, 15], 0.6)]),
        Some(0.5),
        "half of the peak"
    );
    assert_eq!(game(&[]), Some(100.0 / 50176.0), "chance");
    assert_eq!(pointing_game(&heat(&[]), &[]), None);
}

#[test]
fn precision_and_recall_of_pixels() {
    let truth = [bbox::<Working>([0, 0, 224, 56]), bbox([0, 28, 224, 56])];
    let score = |patches: &[_]| auprc(&heat(patches), &truth).unwrap();
    assert_eq!(score(&[([0, 0, 224, 56], 0.3)]), 1.0, "exact");
    assert_eq!(score(&[]), 0.25, "a constant map scores the true share");
    // Half of the truth at precision 1, the other half at 0.25.
    assert_eq!(score(&[([0, 0, 224, 28], 1.0)]), 0.5 + 0.5 * 0.25);
    // All false pixels come first.
    assert_eq!(score(&[([0, 56, 224, 224], 1.0)]), 0.25);
    assert_eq!(auprc(&heat(&[]), &[]), None);
    // A box outside the image holds none of its pixels.
    assert_eq!(auprc(&heat(&[]), &[bbox([300, 0, 301, 1])]), None);
}

#[test]
fn maps_correlate_by_rank() {
    let ramp = |f: &dyn Fn(f32) -> f32| {
        HeatMap::from_array(Array2::from_shape_fn((SIDE, SIDE), |(y, x)| {
            f((y * SIDE + x) as f32)
        }))
        .unwrap()
    };
    let up = ramp(&|i| i);
    assert_eq!(rank_correlation(&up, &up), Some(1.0));
    assert_eq!(
        rank_correlation(&up, &ramp(&|i| (i / 50176.0).sqrt())),
        Some(1.0)
    );
    assert_eq!(rank_correlation(&up, &ramp(&|i| 50176.0 - i)), Some(-1.0));
    assert_eq!(rank_correlation(&up, &heat(&[])), None);
    // Disjoint halves: ranks -+ n/4 against +- n/4.
    let left = heat(&[([0, 0, 112, 224], 1.0)]);
    let right = heat(&[([112, 0, 224, 224], 0.1)]);
    assert_eq!(rank_correlation(&left, &right), Some(-1.0));
    let top = heat(&[([0, 0, 224, 112], 1.0)]);
    assert_eq!(rank_correlation(&left, &top), Some(0.0));
}

#[test]
fn a_curve_changes_the_hottest_pixels_first() {
    let (image, black) = (flat(200), flat(0));
    // 5 hot pixels in a row, then warm ones; the rest is cold, in reading order.
    let map = heat(&[([10, 3, 20, 4], 0.5), ([7, 7, 12, 8], 0.9)]);
    let steps: Vec<_> = images(&map, &image, &black, SIDE * SIDE)
        .unwrap()
        .take(17)
        .collect();
    let changed = |k: usize| {
        let pixels = steps[k]
            .view()
            .indexed_iter()
            .filter(|(_, p)| **p == 0)
            .map(|(at, _)| at)
            .collect::<Vec<_>>();
        assert_eq!(pixels.len(), k);
        pixels
    };
    assert_eq!(steps[0], image);
    assert_eq!(changed(2), [(7, 7), (7, 8)]);
    assert_eq!(
        changed(6),
        [(3, 10), (7, 7), (7, 8), (7, 9), (7, 10), (7, 11)]
    );
    assert_eq!(changed(16)[0], (0, 0));
}

#[test]
fn both_curves_of_a_model_that_sees_one_quarter() {
    // Its score is the share of the upper quarter that is the image's; the heat is exact.
    let (image, black) = (flat(200), flat(0));
    let map = heat(&[([0, 0, 224, 56], 1.0)]);
    let score = |image: GrayImage| {
        let quarter = image.view();
        let quarter = quarter.slice(s![..56, ..]);
        quarter.iter().filter(|&&p| p == 200).count() as f64 / quarter.len() as f64
    };
    let curve = |from, to| {
        images(&map, from, to, 8)
            .unwrap()
            .map(score)
            .collect::<Vec<_>>()
    };
    let deletion = curve(&image, &black);
    assert_eq!(deletion, [1.0, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    assert_eq!(auc(&deletion), Some(0.125));
    assert_eq!(auc(&curve(&black, &image)), Some(0.875));
}

#[test]
fn areas_under_curves_by_hand() {
    assert_eq!(auc(&[1.0, 0.0]), Some(0.5));
    assert_eq!(auc(&[0.25; 9]), Some(0.25));
    assert_eq!(auc(&[0.0, 1.0, 0.5]), Some((0.5 + 0.75) / 2.0));
    assert_eq!(auc(&[1.0]), None);
    assert_eq!(auc(&[]), None);
}

#[test]
fn a_curve_that_cannot_be_drawn_says_why() {
    let small = GrayImage::from_array(Array2::zeros((10, 20))).unwrap();
    let refusal =
        |from: &GrayImage, to: &GrayImage, steps| match images(&heat(&[]), from, to, steps) {
            Ok(_) => panic!("accepted"),
            Err(error) => error.to_string(),
        };
    let expected =
        "a deletion or insertion curve needs images of the heat map's size, 224 x 224, got 20 x 10";
    assert_eq!(refusal(&small, &flat(0), 4), expected);
    assert_eq!(refusal(&flat(0), &small, 4), expected);
    let expected = "a deletion or insertion curve has 1 to 50176 steps, got 0";
    assert_eq!(refusal(&flat(0), &flat(0), 0), expected);
    assert!(images(&heat(&[]), &flat(0), &flat(0), 50177).is_err());
}

#[test]
fn every_metric_has_a_name_of_its_own_and_is_computed_from_what_it_says() {
    let names: BTreeSet<_> = METRICS.iter().map(|(metric, _)| metric.name).collect();
    assert_eq!(names.len(), METRICS.len(), "names are unique");

    // Half of the truth is found, and all that is found is true; all heat lies in the truth.
    let truth = [bbox::<Working>([0, 0, 40, 20])];
    let found = [bbox::<Working>([0, 0, 20, 20])];
    let found_heat = heat(&[([0, 0, 20, 10], 1.0)]);
    let judged = Judged {
        overlap: overlap(&found, &truth),
        heat: Some(&found_heat),
        truth: &truth,
        curves: Some([vec![1.0, 0.0], vec![0.0, 0.5]]),
        flips: Some(Flips {
            found: Turn {
                flip: true,
                keep: true,
            },
            random: Turn {
                flip: false,
                keep: true,
            },
        }),
    };
    let values = |judged: &Judged<'_>| {
        let values = METRICS
            .iter()
            .map(|(metric, compute)| (metric.name, compute(judged)));
        values.collect::<Vec<_>>()
    };
    assert_eq!(
        values(&judged),
        [
            ("iou", Some(0.5)),
            ("f1", Some(2.0 / 3.0)),
            ("precision", Some(1.0)),
            ("recall", Some(0.5)),
            ("pointing_game", Some(1.0)),
            ("auprc", auprc(&found_heat, &truth)),
            ("deletion_auc", Some(0.5)),
            ("insertion_auc", Some(0.25)),
            ("flip", Some(1.0)),
            ("flip_gain", Some(1.0)),
            ("keep", Some(1.0)),
            ("keep_gain", Some(0.0)),
        ]
    );
    let boxes_only = Judged {
        heat: None,
        curves: None,
        ..judged
    };
    for ((metric, _), (_, value)) in METRICS.iter().zip(values(&boxes_only)) {
        assert_eq!(value.is_none(), metric.needs_heat, "{}", metric.name);
        let lower = metric.direction == Direction::LowerIsBetter;
        assert_eq!(lower, metric.name == "deletion_auc");
        assert_eq!(metric.percent, !metric.name.ends_with("_auc"));
    }
}

/// Up to six boxes in 12 x 12 pixels.
fn boxes() -> impl Strategy<Value = Vec<BBox<Native>>> {
    let side = || (0..12u32, 1..12u32).prop_map(|(low, length)| (low, (low + length).min(12)));
    let one = (side(), side()).prop_map(|((x1, x2), (y1, y2))| bbox([x1, y1, x2, y2]));
    prop::collection::vec(one, 0..6)
}

/// Pixels of 12 x 12 that satisfy both.
fn pixels(a: &dyn Fn(u32, u32) -> bool, b: &dyn Fn(u32, u32) -> bool) -> f64 {
    let all = (0..12).flat_map(|y| (0..12).map(move |x| (x, y)));
    all.filter(|&(x, y)| a(x, y) && b(x, y)).count() as f64
}

proptest! {
    #[test]
    fn areas_are_those_of_the_raster(a in boxes(), b in boxes()) {
        let in_a = |x, y| a.iter().any(|bbox| bbox.contains(x, y));
        let in_b = |x, y| b.iter().any(|bbox| bbox.contains(x, y));
        let (found, truth, both) = (pixels(&in_a, &in_a), pixels(&in_b, &in_b), pixels(&in_a, &in_b));
        prop_assert_eq!(union_area(&a) as f64, found);
        let result = overlap(&a, &b);
        if !a.is_empty() && !b.is_empty() {
            prop_assert_eq!(result.iou, both / (found + truth - both));
            prop_assert_eq!(result.precision, both / found);
            prop_assert_eq!(result.recall, both / truth);
        }
    }

    #[test]
    fn overlap_keeps_its_laws(a in boxes(), b in boxes()) {
        let (forth, back) = (overlap(&a, &b), overlap(&b, &a));
        prop_assert_eq!((forth.iou, forth.f1), (back.iou, back.f1));
        prop_assert_eq!((forth.precision, forth.recall), (back.recall, back.precision));
        for value in [forth.iou, forth.f1, forth.precision, forth.recall] {
            prop_assert!((0.0..=1.0).contains(&value));
        }
        let Overlap { iou, precision, recall, f1 } = forth;
        prop_assert!(iou <= f1 && f1 <= precision.max(recall) + 1e-12);
        prop_assert!((f1 * (precision + recall) - 2.0 * precision * recall).abs() < 1e-12);
        let twice = [a.clone(), a.clone()].concat();
        prop_assert_eq!(overlap(&twice, &b), forth);
    }

}

proptest! {
    // Whole heat maps take their time.
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn heat_scores_depend_on_the_ranks_alone(
        levels in prop::collection::vec(0u8..6, 64),
        corner in (0..200u32, 0..200u32),
    ) {
        let map = |value: fn(u8) -> f32| {
            let cell = |(y, x): (usize, usize)| value(levels[y / 28 * 8 + x / 28]);
            HeatMap::from_array(Array2::from_shape_fn((SIDE, SIDE), cell)).unwrap()
        };
        let plain = map(f32::from);
        let grown = map(|level| f32::from(level).exp());
        let truth = [bbox([corner.0, corner.1, corner.0 + 24, corner.1 + 24])];
        prop_assert_eq!(pointing_game(&plain, &truth), pointing_game(&grown, &truth));
        prop_assert_eq!(auprc(&plain, &truth), auprc(&grown, &truth));
        prop_assert_eq!(rank_correlation(&plain, &grown).is_none_or(|rho| rho == 1.0), true);
        let score = auprc(&plain, &truth).unwrap();
        prop_assert!(score > 0.0 && score <= 1.0);
    }

    #[test]
    fn a_curve_takes_equal_steps_between_its_ends(
        levels in prop::collection::vec(0u8..6, 64),
        steps in 1..40usize,
    ) {
        let cell = |(y, x): (usize, usize)| f32::from(levels[y / 28 * 8 + x / 28]);
        let map = HeatMap::from_array(Array2::from_shape_fn((SIDE, SIDE), cell)).unwrap();
        let (image, black) = (flat(9), flat(0));
        let deletion = images(&map, &image, &black, steps).unwrap();
        let insertion = images(&map, &black, &image, steps).unwrap();
        prop_assert_eq!(deletion.len(), steps + 1);
        for (k, (deleted, inserted)) in deletion.zip(insertion).enumerate() {
            let left = deleted.bytes().iter().filter(|&&p| p == 9).count();
            prop_assert_eq!(left, SIDE * SIDE - k * SIDE * SIDE / steps);
            // A pixel is in exactly one of the two, and no pixel left is hotter than one that is gone.
            prop_assert!(deleted.bytes().iter().zip(inserted.bytes()).all(|(a, b)| a + b == 9));
            let view = map.view();
            let (mut hottest_left, mut coldest_gone) = (f32::MIN, f32::MAX);
            for (value, pixel) in view.iter().zip(deleted.bytes()) {
                match pixel {
                    9 => hottest_left = hottest_left.max(*value),
                    _ => coldest_gone = coldest_gone.min(*value),
                }
            }
            prop_assert!(hottest_left <= coldest_gone);
        }
    }
}
