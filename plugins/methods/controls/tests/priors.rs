//! The control that knows other images: where findings are annotated.

mod common;

use common::{Cohort, key, task, with};
use medfocus_method_controls::AnatomyPrior;
use medfocus_plugin_api::{
    AttributionMethod, ErrorKind, Letterbox, WORKING_SIDE, testkit::LocalHost,
};
use serde_json::json;

/// Landscapes of 448 x 224: 112 rows of the working image, from row 56.
fn tuning() -> Cohort {
    Cohort {
        size: (448, 224),
        samples: vec![
            ("Spot", vec![[0, 0, 80, 80], [40, 40, 80, 80]]),
            ("spot", vec![[0, 0, 40, 40], [400, 180, 440, 220]]),
            ("line", vec![[0, 0, 448, 10]]),
            ("spot", vec![]),
            ("spot", vec![[0, 0, 40, 40]]),
            ("spot", vec![[100, 100, 200, 200]]),
        ],
    }
}

#[test]
fn a_finding_is_where_it_was_annotated() {
    let (method, host) = with::<AnatomyPrior>("tuning", tuning(), json!({"samples": 5}));
    let mut task = task();
    task.finding = Some(" spot".into());
    let found = method.attribute(&task).unwrap();
    // Of three annotated samples all have the first 20 x 20, one the rest of 40 x 40, one the far corner.
    assert_eq!(found.evidence["annotated"], 3);
    let heat = found.heat.unwrap();
    for (at, value) in [
        ((56, 0), 1.0),
        ((75, 19), 1.0),
        ((76, 20), 1.0 / 3.0),
        ((147, 201), 1.0 / 3.0),
        ((55, 0), 0.0),
    ] {
        assert!((f64::from(heat.view()[at]) - value).abs() < 1e-6, "{at:?}");
    }
    let boxes = found.boxes.unwrap();
    assert_eq!(boxes.len(), 1);
    assert_eq!(
        (boxes[0].bbox.corners(), boxes[0].score),
        ([0, 56, 20, 76], 1.0)
    );
    assert!(found.warnings.is_empty());
    assert_eq!(host.calls("dataset.sample"), 5);

    // Another finding costs no reading.
    task.finding = Some("line".into());
    let found = method.attribute(&task).unwrap();
    assert_eq!(found.boxes.unwrap()[0].bbox.corners(), [0, 56, 224, 61]);
    assert_eq!(host.calls("dataset.sample"), 5);
}

#[test]
fn the_level_divides_evidence_from_the_rest() {
    let (method, _) = with::<AnatomyPrior>("tuning", tuning(), json!({"samples": 5, "level": 0.3}));
    let mut task = task();
    task.finding = Some("spot".into());
    let boxes = method.attribute(&task).unwrap().boxes.unwrap();
    let facts: Vec<_> = boxes.iter().map(|b| (b.bbox.corners(), b.score)).collect();
    assert_eq!(facts[0].0, [0, 56, 40, 96]);
    assert!((facts[0].1 - (400.0 + 1200.0 / 3.0) / 1600.0).abs() < 1e-12);
    assert_eq!(facts[1].0, [200, 146, 220, 166]);
}

#[test]
fn padding_and_the_own_sample_do_not_count_in_silence() {
    let (method, _) = with::<AnatomyPrior>("tuning", tuning(), json!({"samples": 5}));
    let mut task = task();
    task.finding = Some("spot".into());
    task.letterbox = Letterbox::new(500, 1000, WORKING_SIDE).unwrap();
    task.sample = Some(key("cohort", 4));
    let found = method.attribute(&task).unwrap();
    // The portrait's padding covers the first 56 columns; only the far corner ends before it, and that is padding too.
    assert!(found.heat.is_none() && found.boxes.unwrap().is_empty());
    assert_eq!(found.warnings.len(), 2);
    assert!(found.warnings[0].contains("its own boxes are part of the mean"));
    for (dataset, index) in [("cohort", 5), ("other", 4)] {
        task.sample = Some(key(dataset, index));
        assert_eq!(method.attribute(&task).unwrap().warnings.len(), 1);
    }
}

#[test]
fn what_it_does_not_know_it_says() {
    let (method, host) = with::<AnatomyPrior>("tuning", tuning(), json!({}));
    let mut task = task();
    task.finding = None;
    let error = method.attribute(&task).unwrap_err();
    assert_eq!(
        error.message,
        "`anatomy_prior` needs to know which finding the question is about"
    );
    assert_eq!(host.calls("dataset.sample"), 0);

    task.finding = Some("moon".into());
    let found = method.attribute(&task).unwrap();
    assert!(found.boxes.unwrap().is_empty() && found.heat.is_none());
    assert_eq!(
        found.warnings,
        ["`moon` is not annotated in the first 6 samples of dataset `cohort`: there are no boxes"]
    );

    let method: AnatomyPrior = LocalHost::new().create(json!({})).unwrap();
    let error = method.attribute(&task).unwrap_err();
    assert_eq!(
        (error.kind, error.to_string()),
        (ErrorKind::Missing, "slot `tuning` is empty".into())
    );
}

#[test]
fn reading_can_be_cancelled_and_is_tried_again() {
    let (method, host) = with::<AnatomyPrior>("tuning", tuning(), json!({}));
    host.cancel();
    for _ in 0..2 {
        assert_eq!(
            method.attribute(&task()).unwrap_err().kind,
            ErrorKind::Cancelled
        );
    }
}
