//! Controls that know nothing but the image's size, or the sizes of annotations.

mod common;

use common::{Cohort, key, task, with};
use medfocus_method_controls::{CentreBox, RandomBoxes};
use medfocus_plugin_api::{
    Attribution, AttributionMethod, Component, Letterbox, WORKING_SIDE, testkit::LocalHost,
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn corners(found: &Attribution) -> Vec<[u32; 4]> {
    let boxes = found.boxes.as_ref().unwrap();
    boxes.iter().map(|found| found.bbox.corners()).collect()
}

fn random(params: Value) -> RandomBoxes {
    LocalHost::new().create(params).unwrap()
}

#[test]
fn the_centre_box_has_its_share_of_the_image() {
    let centre = |params| LocalHost::new().create::<CentreBox>(params).unwrap();
    let mut task = task();
    let found = centre(json!({})).attribute(&task).unwrap();
    assert_eq!(corners(&found), [[56, 56, 168, 168]]);
    assert_eq!(found.boxes.unwrap()[0].score, 1.0);
    // A portrait of 112 columns.
    task.letterbox = Letterbox::new(500, 1000, WORKING_SIDE).unwrap();
    let found = centre(json!({})).attribute(&task).unwrap();
    assert_eq!(corners(&found), [[84, 56, 140, 168]]);
    let found = centre(json!({"share": 1})).attribute(&task).unwrap();
    assert_eq!(corners(&found), [[56, 0, 168, 224]]);
    assert!(
        LocalHost::new()
            .create::<CentreBox>(json!({"share": 0}))
            .is_err()
    );
}

#[test]
fn random_boxes_belong_to_seed_and_sample() {
    let method = random(json!({"count": 3}));
    let mut first = task();
    let found = method.attribute(&first).unwrap();
    assert_eq!(corners(&found), corners(&method.attribute(&first).unwrap()));
    first.sample = Some(key("cohort", 1));
    let second = method.attribute(&first).unwrap();
    assert_ne!(corners(&found), corners(&second));
    first.seed = 1;
    assert_ne!(
        corners(&second),
        corners(&method.attribute(&first).unwrap())
    );
}

#[test]
fn boxes_lie_where_the_words_of_chacha8_say() {
    // The first two words of key 0 are 0.18724 and 0.83692 of 2^32; there are 113 places along each axis.
    let mut task = task();
    task.seed = 0;
    let found = random(json!({})).attribute(&task).unwrap();
    assert_eq!(corners(&found), [[21, 94, 133, 206]]);
}

#[test]
fn every_place_is_as_likely_as_another() {
    // 224 - 112 + 1 = 113 places along each axis: their mean is 56, its standard error over 4000 draws 0.52.
    let method = random(json!({}));
    let mut task = task();
    let (mut sum, mut ends) = ([0.0, 0.0], [0, 0]);
    for seed in 0..4000 {
        task.seed = seed;
        let [x1, y1, x2, y2] = corners(&method.attribute(&task).unwrap())[0];
        assert_eq!((x2 - x1, y2 - y1), (112, 112));
        sum = [sum[0] + f64::from(x1), sum[1] + f64::from(y1)];
        ends = [ends[0] + u32::from(x1 == 0), ends[1] + u32::from(x2 == 224)];
    }
    for sum in sum {
        assert!((sum / 4000.0 - 56.0).abs() < 4.0 * 0.52);
    }
    // 35 expected at each end.
    assert!(ends.iter().all(|&n| (10..70).contains(&n)), "{ends:?}");
}

#[test]
fn tuning_matches_number_and_area() {
    // Landscapes of 448 x 224, of which the working image shows 224 x 112.
    let cohort = Cohort {
        size: (448, 224),
        samples: vec![
            ("a", vec![[0, 0, 224, 112]]),
            ("b", vec![]),
            ("c", vec![[0, 0, 448, 224], [0, 0, 112, 56]]),
            ("not read", vec![[0, 0, 2, 2]]),
        ],
    };
    let (method, host) = with::<RandomBoxes>("tuning", cohort, json!({"samples": 3, "share": 0.9}));
    let mut task = task();
    let mut counts = [0, 0];
    for seed in 0..200 {
        task.seed = seed;
        let found = method.attribute(&task).unwrap();
        let areas: Vec<_> = found.boxes.unwrap().iter().map(|b| b.bbox.area()).collect();
        match areas[..] {
            [12544] => counts[0] += 1,
            [50176, 3136] => counts[1] += 1,
            _ => panic!("{areas:?}"),
        }
    }
    assert!(counts.iter().all(|&n| n > 60), "{counts:?}");
    assert_eq!(host.calls("dataset.sample"), 3);

    let empty = Cohort {
        size: (9, 9),
        samples: vec![("a", vec![])],
    };
    let (method, _) = with::<RandomBoxes>("tuning", empty, json!({}));
    let found = method.attribute(&task).unwrap();
    assert!(found.boxes.unwrap().is_empty());
    assert_eq!(found.warnings.len(), 1);
}

#[test]
fn neither_needs_a_slot() {
    assert!(CentreBox::SLOTS.is_empty());
    assert!(RandomBoxes::SLOTS.iter().all(|slot| !slot.required));
}

proptest! {
    #[test]
    fn boxes_lie_in_the_image_and_have_its_share(
        width in 1u32..4000, height in 1u32..4000, share in 0.0001f64..1.0, count in 1u32..5, seed: u64,
    ) {
        let mut task = task();
        task.seed = seed;
        task.letterbox = Letterbox::new(width, height, WORKING_SIDE).unwrap();
        let image = task.letterbox.content();
        let centre: CentreBox = LocalHost::new().create(json!({"share": share})).unwrap();
        let one = centre.attribute(&task).unwrap().boxes.unwrap();
        let several = random(json!({"share": share, "count": count})).attribute(&task).unwrap();
        for (found, share) in [(one, share), (several.boxes.unwrap(), share / f64::from(count))] {
            for found in found {
                prop_assert_eq!(found.bbox.intersection(&image), Some(found.bbox));
                let sides = [(found.bbox.width(), image.width()), (found.bbox.height(), image.height())];
                for (side, of) in sides {
                    prop_assert!((f64::from(side) - f64::from(of) * share.sqrt()).abs() <= 1.0);
                }
            }
        }
        let bbox = centre.attribute(&task).unwrap().boxes.unwrap()[0].bbox.corners();
        let [left, top, right, bottom] = image.corners();
        prop_assert!((right - bbox[2]).abs_diff(bbox[0] - left) <= 1);
        prop_assert!((bottom - bbox[3]).abs_diff(bbox[1] - top) <= 1);
    }
}
