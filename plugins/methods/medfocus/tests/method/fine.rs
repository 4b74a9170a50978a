//! The parts that decide, against a model that reads one cell.

use crate::host::{fine, host, method, number, task};
use medfocus_plugin_api::{
    Attribution, AttributionMethod, BBox, Task, Working, testkit::LocalHost,
};
use serde_json::json;

/// What the model reads.
fn cell() -> BBox<Working> {
    BBox::new(64, 96, 80, 112).unwrap()
}

/// A task whose answer rests on a bright spot there.
fn spot() -> Task {
    let mut task = task();
    task.image = task.image.with_filled(&cell(), 255);
    task
}

#[test]
fn the_spot_that_decides_is_found_and_named() {
    let (host, task) = (host(), spot());
    let method = fine(&host, json!({}));
    let found = method.attribute(&task).unwrap();
    let boxes = found.boxes.clone().unwrap();
    assert_eq!(boxes.len(), 1);
    let overlap = boxes[0].bbox.intersection(&cell()).unwrap().area() as f64;
    assert!(overlap >= 0.9 * cell().area() as f64, "{:?}", boxes[0]);
    assert!(
        overlap >= 0.3 * boxes[0].bbox.area() as f64,
        "{:?}",
        boxes[0]
    );
    let label = boxes[0].label.as_deref().unwrap();
    assert_eq!(label, "right lung, middle third");
    assert_eq!(found.evidence["winner"], label);
    let [effect, together] = ["effect", "together"].map(|name| number(&found.evidence[name]));
    assert!(
        (boxes[0].score - together).abs() < 1e-9 && together >= 0.7 * effect,
        "{together} of {effect}"
    );
    let parts = found.evidence["parts"].as_array().unwrap();
    let deltas: Vec<_> = parts.iter().map(|part| number(&part["delta"])).collect();
    let strongest = deltas.iter().copied().fold(0.0, f64::max);
    // The model reads nothing but the cell, so that the part which holds it has the whole effect.
    assert!((strongest - effect).abs() < 0.1 * effect, "{deltas:?}");
    let (first, second) = ("images_scored", "fine_images");
    let spent = [first, second].map(|name| number(&found.evidence[name]));
    assert!(spent[0] + spent[1] <= 3.0 * spent[0], "{spent:?}");
    let again = method.attribute(&task).unwrap();
    assert_eq!((again.boxes, again.evidence), (found.boxes, found.evidence));
}

#[test]
fn without_an_effect_medfocus_answer_stands() {
    let (host, task) = (host(), spot());
    let found = fine(&host, json!({"least": 100.0}))
        .attribute(&task)
        .unwrap();
    stands(&host, &task, &found);
    let warned = found
        .warnings
        .iter()
        .any(|text| text.contains("no part is sought"));
    assert!(warned, "{:?}", found.warnings);
}

#[test]
fn where_no_part_departs_medfocus_answer_stands() {
    let (host, task) = (host(), spot());
    let found = fine(&host, json!({"level": 100.0}))
        .attribute(&task)
        .unwrap();
    stands(&host, &task, &found);
    assert_eq!(found.evidence["parts"], json!([]));
    // As it is, and healthy.
    assert_eq!(number(&found.evidence["fine_images"]), 2.0);
}

/// Boxes, heat and winner are MedFocus'.
fn stands(host: &LocalHost, task: &Task, found: &Attribution) {
    let coarse = method(host, json!({})).attribute(task).unwrap();
    assert_eq!(found.boxes, coarse.boxes);
    assert_eq!(found.evidence["winner"], coarse.evidence["winner"]);
    let bytes = |found: &Attribution| found.heat.as_ref().unwrap().view().to_owned();
    assert_eq!(bytes(found), bytes(&coarse));
}
