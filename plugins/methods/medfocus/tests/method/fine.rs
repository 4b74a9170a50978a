//! The part that decides, against a model that reads one cell.

use crate::host::{fine, host, method, number, task};
use medfocus_plugin_api::{AttributionMethod, BBox, Task, Working};
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
    let method = fine(&host, json!({"target": "log_prob"}));
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
    assert_eq!(found.evidence["part"], label);
    assert!((boxes[0].score - number(&found.evidence["effect"])).abs() < 1e-9);
    let (first, second) = ("images_scored", "fine_images");
    let spent = [first, second].map(|name| number(&found.evidence[name]));
    assert!(spent[0] + spent[1] <= 3.0 * spent[0], "{spent:?}");
    let again = method.attribute(&task).unwrap();
    assert_eq!((again.boxes, again.evidence), (found.boxes, found.evidence));
}

#[test]
fn without_an_effect_medfocus_answer_stands() {
    let (host, task) = (host(), spot());
    let params = json!({"target": "log_prob", "least": 100.0});
    let found = fine(&host, params).attribute(&task).unwrap();
    let coarse = method(&host, json!({})).attribute(&task).unwrap();
    assert_eq!(found.boxes, coarse.boxes);
    assert_eq!(number(&found.evidence["fine_images"]), 2.0);
    let warned = found
        .warnings
        .iter()
        .any(|text| text.contains("no part is sought"));
    assert!(warned, "{:?}", found.warnings);
}
