//! Heat maps to boxes: known answers and laws.

use medfocus::boxes::{BoxRule, Edges, OnEmpty};
use medfocus_plugin_api::{BBox, HeatMap, ScoredBox, Working};
use ndarray::{Array2, Axis, s};
use proptest::prelude::*;

const SIDE: usize = 224;

/// A map with these values inside these half-open boxes, later ones on top.
fn heat(patches: &[([usize; 4], f32)]) -> HeatMap {
    let mut values = Array2::zeros((SIDE, SIDE));
    for &([x1, y1, x2, y2], value) in patches {
        values.slice_mut(s![y1..y2, x1..x2]).fill(value);
    }
    HeatMap::from_array(values).unwrap()
}

fn corners(boxes: &[ScoredBox]) -> Vec<[u32; 4]> {
    boxes.iter().map(|b| b.bbox.corners()).collect()
}

/// All positive pixels pass.
fn every_positive() -> BoxRule {
    BoxRule {
        quantile: 0.0,
        ..BoxRule::default()
    }
}

#[test]
fn exact_heat_gives_the_exact_box() {
    let result = BoxRule::default().apply(&heat(&[([30, 50, 40, 60], 0.25)]));
    assert_eq!(corners(&result.boxes), [[30, 50, 40, 60]]);
    assert!((result.boxes[0].score - 1.0).abs() < 1e-6, "normalised");
    assert!(result.warnings.is_empty());
}

#[test]
fn the_published_edges_lose_the_last_row_and_column() {
    let rule = BoxRule {
        edges: Edges::PublishedInclusive,
        ..BoxRule::default()
    };
    let result = rule.apply(&heat(&[([30, 50, 40, 60], 1.0)]));
    assert_eq!(corners(&result.boxes), [[30, 50, 39, 59]]);
    assert_eq!(result.boxes[0].bbox.area(), 81, "IoU 0.81 with the truth");
    let line = rule.apply(&heat(&[([30, 50, 70, 51], 1.0)]));
    assert!(line.boxes.is_empty());
    assert_eq!(line.warnings.len(), 1);
}

#[test]
fn the_threshold_is_the_interpolated_quantile_of_the_positive_values() {
    // 1..=41 twice over: numpy.quantile of the 82 values at 0.9 is 37.0 (position 72.9, both
    // neighbours 37), so that 37 itself is kept. Zeros count for nothing.
    let mut values = Array2::<f32>::zeros((SIDE, SIDE));
    for i in 0..41 {
        values[(100, 10 + i)] = (i + 1) as f32;
        values[(101, 10 + i)] = (i + 1) as f32;
    }
    let rule = BoxRule {
        min_area: 1,
        ..BoxRule::default()
    };
    let result = rule.apply(&HeatMap::from_array(values.clone()).unwrap());
    assert_eq!(corners(&result.boxes), [[46, 100, 51, 102]]);
    assert!((result.boxes[0].score - 39.0 / 41.0).abs() < 1e-6);

    // One value more moves the position to 73.8, between 37 and 38: 37 falls below.
    values[(0, 0)] = 41.0;
    let result = rule.apply(&HeatMap::from_array(values).unwrap());
    assert_eq!(corners(&result.boxes), [[0, 0, 1, 1], [47, 100, 51, 102]]);
}

#[test]
fn diagonal_neighbours_are_connected() {
    let map = heat(&[([10, 10, 14, 14], 1.0), ([14, 14, 18, 18], 1.0)]);
    assert_eq!(
        corners(&BoxRule::default().apply(&map).boxes),
        [[10, 10, 18, 18]]
    );
    let apart = heat(&[([10, 10, 14, 14], 1.0), ([15, 14, 19, 18], 1.0)]);
    assert_eq!(BoxRule::default().apply(&apart).boxes.len(), 2);
}

#[test]
fn components_under_sixteen_pixels_are_dropped() {
    let map = heat(&[([10, 10, 15, 13], 1.0), ([50, 50, 54, 54], 1.0)]);
    assert_eq!(
        corners(&BoxRule::default().apply(&map).boxes),
        [[50, 50, 54, 54]]
    );
    let specks = BoxRule::default().apply(&heat(&[([10, 10, 15, 13], 1.0)]));
    assert!(specks.boxes.is_empty());
    assert!(specks.warnings[0].contains("16 connected pixels"));
}

#[test]
fn the_best_ten_come_by_score_then_area_then_reading_order() {
    let patch = |i: usize, side: usize, value: f32| {
        let (x, y) = (10 + 20 * (i % 5), 10 + 20 * (i / 5));
        ([x, y, x + side, y + side], value)
    };
    let mut patches: Vec<_> = (0..12).map(|i| patch(i, 4, 0.5)).collect();
    patches[7] = patch(7, 5, 0.5);
    patches[9] = patch(9, 4, 1.0);
    let boxes = every_positive().apply(&heat(&patches)).boxes;
    let expected: Vec<[u32; 4]> = [9, 7, 0, 1, 2, 3, 4, 5, 6, 8]
        .map(|i: usize| patches[i].0.map(|c| c as u32))
        .to_vec();
    assert_eq!(corners(&boxes), expected);
}

#[test]
fn a_map_without_evidence_gives_no_box_and_says_so() {
    for map in [heat(&[]), heat(&[([0, 0, SIDE, SIDE], 0.7)])] {
        let result = BoxRule::default().apply(&map);
        assert!(result.boxes.is_empty());
        assert_eq!(
            result.warnings,
            ["the heat map is constant: it shows no evidence; there are no boxes"]
        );
        let published = BoxRule {
            on_empty: OnEmpty::WholeImage,
            ..BoxRule::default()
        };
        let result = published.apply(&map);
        assert_eq!(corners(&result.boxes), [[0, 0, 224, 224]]);
        assert_eq!(result.warnings.len(), 1);
    }
}

#[test]
fn a_rule_is_read_strictly() {
    let read = |json: &str| serde_json::from_str::<BoxRule>(json);
    assert_eq!(read("{}").unwrap(), BoxRule::default());
    let rule = read(r#"{"on_empty": "whole_image", "edges": "published_inclusive"}"#).unwrap();
    assert_eq!(rule.on_empty, OnEmpty::WholeImage);
    assert_eq!(rule.edges, Edges::PublishedInclusive);
    assert!(read(r#"{"quantil": 0.5}"#).is_err());
    let error = read(r#"{"quantile": 1.5}"#).unwrap_err().to_string();
    assert!(error.contains("must lie in 0 to 1, got 1.5"), "{error}");
}

/// Up to eight random patches of distinct values, overlapping or not.
fn patchwork() -> impl Strategy<Value = Array2<f32>> {
    let patch = (0..SIDE, 0..SIDE, 1..40usize, 1..40usize, 0.05f32..1.0);
    prop::collection::vec(patch, 0..8).prop_map(|patches| {
        let mut values = Array2::zeros((SIDE, SIDE));
        for (x, y, w, h, value) in patches {
            let mut patch = values.slice_mut(s![y..(y + h).min(SIDE), x..(x + w).min(SIDE)]);
            patch.fill(value);
        }
        values
    })
}

fn boxes(rule: &BoxRule, values: Array2<f32>) -> Vec<ScoredBox> {
    let heat = HeatMap::from_array(values.as_standard_layout().into_owned()).unwrap();
    rule.apply(&heat).boxes
}

/// Corners and scores in an order that does not depend on ties.
fn canonical(boxes: &[ScoredBox], turn: impl Fn([u32; 4]) -> [u32; 4]) -> Vec<([u32; 4], i64)> {
    let mut all: Vec<_> = boxes
        .iter()
        .map(|b| (turn(b.bbox.corners()), (b.score * 1e9).round() as i64))
        .collect();
    all.sort();
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_side_of_a_box_touches_heat_and_all_heat_lies_in_a_box(values in patchwork()) {
        let rule = BoxRule { min_area: 1, limit: usize::MAX, ..every_positive() };
        let found = boxes(&rule, values.clone());
        for ((y, x), &value) in values.indexed_iter() {
            let inside = found.iter().any(|b| b.bbox.contains(x as u32, y as u32));
            prop_assert!(value == 0.0 || inside);
        }
        for b in &found {
            let [x1, y1, x2, y2] = b.bbox.corners().map(|c| c as usize);
            let hot = |part: ndarray::ArrayView2<'_, f32>| part.iter().any(|&v| v > 0.0);
            prop_assert!(hot(values.slice(s![y1..y1 + 1, x1..x2])));
            prop_assert!(hot(values.slice(s![y2 - 1..y2, x1..x2])));
            prop_assert!(hot(values.slice(s![y1..y2, x1..x1 + 1])));
            prop_assert!(hot(values.slice(s![y1..y2, x2 - 1..x2])));
        }
    }

    #[test]
    fn well_separated_patches_come_back_as_they_are(
        cells in prop::collection::btree_map(0..49usize, (4..28usize, 4..28usize, 0.05f32..1.0), 1..=10),
    ) {
        // Each patch lies in its own 30 x 30 cell, whose last columns and rows stay empty.
        let patches: Vec<_> = cells
            .iter()
            .map(|(cell, &(w, h, value))| {
                let (x, y) = (30 * (cell % 7), 30 * (cell / 7));
                ([x, y, x + w, y + h], value)
            })
            .collect();
        let found = every_positive().apply(&heat(&patches)).boxes;
        let peak = patches.iter().map(|p| p.1).fold(0.0, f32::max);
        prop_assert_eq!(found.len(), patches.len());
        for (corners, value) in patches {
            let bbox = BBox::<Working>::new(
                corners[0] as u32, corners[1] as u32, corners[2] as u32, corners[3] as u32,
            ).unwrap();
            let score = found.iter().find(|b| b.bbox == bbox).map(|b| b.score);
            prop_assert!((score.unwrap() - f64::from(value / peak)).abs() < 1e-5);
        }
        prop_assert!(found.is_sorted_by(|a, b| a.score >= b.score));
    }

    #[test]
    fn turning_the_map_turns_the_boxes(values in patchwork(), quantile in 0.0f64..1.0) {
        let rule = BoxRule { quantile, limit: usize::MAX, ..BoxRule::default() };
        let side = SIDE as u32;
        let plain = canonical(&boxes(&rule, values.clone()), |corners| corners);
        let flipped = |axis| {
            let mut flipped = values.clone();
            flipped.invert_axis(Axis(axis));
            boxes(&rule, flipped)
        };
        let left_right = canonical(&flipped(1), |[x1, y1, x2, y2]| [side - x2, y1, side - x1, y2]);
        prop_assert_eq!(&left_right, &plain);
        let up_down = canonical(&flipped(0), |[x1, y1, x2, y2]| [x1, side - y2, x2, side - y1]);
        prop_assert_eq!(&up_down, &plain);
        let transposed = boxes(&rule, values.t().to_owned());
        prop_assert_eq!(&canonical(&transposed, |[x1, y1, x2, y2]| [y1, x1, y2, x2]), &plain);
    }

    #[test]
    fn the_scale_of_the_heat_does_not_matter(values in patchwork(), power in -8i32..20) {
        // Powers of two scale without rounding; 1e-8 in the normalisation bounds how small.
        let scaled = values.mapv(|v| v * 2f32.powi(power));
        let rule = BoxRule::default();
        let plain: Vec<_> = corners(&boxes(&rule, values));
        prop_assert_eq!(corners(&boxes(&rule, scaled)), plain);
    }
}
