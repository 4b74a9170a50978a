//! Otsu's threshold against its definition, and regions known in closed form.

use medfocus_plugin_api::{
    BBox, GrayImage, Segment, SegmentRequest, Segmenter, Working, testkit::LocalHost,
};
use medfocus_vision_atlas::{OtsuSegmenter, split};
use ndarray::{Array2, s};
use proptest::prelude::*;
use serde_json::json;

fn segment(pixels: Array2<u8>, boxes: &[[u32; 4]]) -> Vec<Segment> {
    let segmenter: OtsuSegmenter = LocalHost::new().create(json!({})).unwrap();
    let request = SegmentRequest::new(
        GrayImage::from_array(pixels).unwrap(),
        boxes
            .iter()
            .map(|&[x1, y1, x2, y2]| BBox::new(x1, y1, x2, y2).unwrap())
            .collect(),
    );
    segmenter.segment(&request).unwrap()
}

fn corners(segment: &Segment) -> Option<[u32; 4]> {
    segment
        .mask
        .tight_box::<Working>()
        .map(|bbox| bbox.corners())
}

/// Dark grey with a bright block at columns 80..120, rows 90..110.
fn block() -> Array2<u8> {
    let mut pixels = Array2::from_elem((224, 224), 50);
    pixels.slice_mut(s![90..110, 80..120]).fill(200);
    pixels
}

#[test]
fn a_block_is_found_exactly_whichever_its_shade() {
    let prompt = [70, 85, 130, 115];
    for pixels in [block(), block().mapv(|pixel| 255 - pixel)] {
        let found = &segment(pixels, &[prompt])[0];
        assert_eq!(corners(found), Some([80, 90, 120, 110]));
        assert_eq!(found.mask.area(), 40 * 20);
        assert!((found.confidence - 1.0).abs() < 1e-12);
    }
}

#[test]
fn the_middle_decides_which_class_is_meant() {
    // The block fills one corner of this box; its middle is background.
    let found = &segment(block(), &[[100, 100, 180, 180]])[0];
    assert_eq!(found.mask.area(), 80 * 80 - 20 * 10);
    assert_eq!(found.mask.view()[(100, 100)], 0);
    assert_eq!(found.mask.view()[(179, 179)], 255);
}

#[test]
fn the_largest_component_is_kept() {
    let mut pixels = block();
    // Apart by one column: another component, smaller though taller.
    pixels.slice_mut(s![87..113, 121..124]).fill(200);
    // Touching at a corner: the same component.
    pixels[(110, 79)] = 200;
    let found = &segment(pixels, &[[70, 85, 130, 115]])[0];
    assert_eq!(found.mask.area(), 40 * 20 + 1);
    assert_eq!(corners(found), Some([79, 90, 120, 111]));
}

#[test]
fn where_there_is_no_edge_there_is_no_region() {
    let found = segment(
        block(),
        &[
            [0, 0, 50, 50],
            [85, 95, 86, 96],
            [300, 300, 310, 310],
            [200, 200, 999, 999],
        ],
    );
    for segment in found {
        assert_eq!((segment.mask.area(), segment.confidence), (0, 0.0));
        assert_eq!((segment.mask.width(), segment.mask.height()), (224, 224));
    }
    assert!(segment(block(), &[]).is_empty());
}

#[test]
fn a_split_in_closed_form() {
    // One pixel of 0, two of 10, one of 40: mean 15, variance 225. At 10 the classes' means are 20/3 and 40:
    // 3/4 (15 - 20/3)^2 + 1/4 (40 - 15)^2 = 208.33; at 0 they are 0 and 20: 75.
    let found = split([10, 0, 40, 10]).unwrap();
    assert_eq!(found.threshold, 10);
    assert!((found.separability - (625.0 / 3.0) / 225.0).abs() < 1e-12);
    assert!(split([7, 7, 7]).is_none());
    assert!(split([]).is_none());
    let extremes = split([0, 255]).unwrap();
    assert_eq!(extremes.threshold, 0);
    assert!((extremes.separability - 1.0).abs() < 1e-12);
}

/// Between-class over total variance of the classes at or below and above a level, by definition.
fn separability(levels: &[u8], threshold: u8) -> Option<f64> {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let all: Vec<_> = levels.iter().map(|&l| f64::from(l)).collect();
    let (dark, bright): (Vec<f64>, Vec<f64>) =
        all.iter().partition(|&&l| l <= f64::from(threshold));
    if dark.is_empty() || bright.is_empty() {
        return None;
    }
    let total: f64 = all.iter().map(|l| (l - mean(&all)).powi(2)).sum();
    let between: f64 = [&dark, &bright]
        .iter()
        .map(|class| class.len() as f64 * (mean(class) - mean(&all)).powi(2))
        .sum();
    Some(between / total)
}

proptest! {
    #[test]
    fn no_other_threshold_separates_better(levels in proptest::collection::vec(any::<u8>(), 1..60)) {
        let best = (0..=255).filter_map(|t| separability(&levels, t)).fold(None, |best: Option<f64>, s| {
            Some(best.map_or(s, |b| b.max(s)))
        });
        let found = split(levels.iter().copied());
        prop_assert_eq!(found.is_some(), best.is_some());
        if let (Some(found), Some(best)) = (found, best) {
            prop_assert!((found.separability - best).abs() < 1e-9);
            prop_assert!((separability(&levels, found.threshold).unwrap() - best).abs() < 1e-9);
        }
    }

    #[test]
    fn regions_stay_in_their_boxes(
        seed in proptest::collection::vec(any::<u8>(), 64), x in 0u32..220, y in 0u32..220, w in 1u32..60, h in 1u32..60,
    ) {
        let pixels = Array2::from_shape_fn((224, 224), |(y, x)| seed[(y / 7 * 5 + x / 9) % 64]);
        let prompt = BBox::<Working>::new(x, y, x + w, y + h).unwrap();
        let found = &segment(pixels, &[prompt.corners()])[0];
        prop_assert!((0.0..=1.0).contains(&found.confidence));
        prop_assert_eq!(found.confidence > 0.0, found.mask.area() > 0);
        if let Some(tight) = found.mask.tight_box::<Working>() {
            prop_assert_eq!(tight.intersection(&prompt), Some(tight));
        }
    }
}
