//! The control covers the native image, all of it and nothing else.

use medfocus_method_controls::WholeImage;
use medfocus_plugin_api::{
    AttributionMethod, BBox, Component, Letterbox, Native, WORKING_SIDE,
    testkit::{LocalHost, toy_task},
};
use ndarray::Array2;
use proptest::prelude::*;
use serde_json::json;

fn control() -> WholeImage {
    LocalHost::new().create(json!({})).unwrap()
}

#[test]
fn it_needs_nothing_and_takes_no_parameters() {
    assert!(WholeImage::SLOTS.is_empty());
    let error = LocalHost::new().create::<WholeImage>(json!({"cells": 3}));
    assert!(error.is_err());
}

#[test]
fn a_square_image_is_covered_to_the_last_pixel() {
    let found = control()
        .attribute(&toy_task(Array2::zeros((224, 224))).unwrap())
        .unwrap();
    let boxes = found.boxes.unwrap();
    assert_eq!(boxes.len(), 1);
    assert_eq!(boxes[0].bbox.corners(), [0, 0, 224, 224]);
    assert_eq!(boxes[0].score, 1.0);
    assert!(found.heat.is_none() && found.warnings.is_empty());
}

proptest! {
    #[test]
    fn the_box_is_the_native_image(width in 1u32..4000, height in 1u32..4000) {
        let mut task = toy_task(Array2::zeros((224, 224))).unwrap();
        task.letterbox = Letterbox::new(width, height, WORKING_SIDE).unwrap();
        let found = control().attribute(&task).unwrap().boxes.unwrap();
        prop_assert_eq!(
            task.letterbox.to_native(&found[0].bbox),
            BBox::<Native>::whole(width, height)
        );
    }
}
