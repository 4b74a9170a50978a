//! The control that always answers "both lungs".

use crate::common::{TEST, displaced, phantom};
use crate::host::{Cohort, both_lungs, boxes_of, concept, host, method, pool, task_of};
use medfocus_plugin_api::{AttributionMethod, ErrorKind, Letterbox, testkit::LocalHost};
use serde_json::json;

#[test]
fn its_lungs_are_those_of_medfocus() {
    let mut task = task_of(&displaced(&phantom(TEST + 3, false), 5));
    task.letterbox = Letterbox::new(500, 640, 224).unwrap();
    for settings in [
        json!({}),
        json!({"transfer": "affine", "intensity": "range"}),
        json!({"transfer": "copy", "references": 2, "pool_size": 4}),
    ] {
        let alone = LocalHost::new().with_dataset(pool());
        let control = both_lungs(&alone, settings.clone());
        let found = control.attribute(&task).unwrap();
        let again = control.attribute(&task).unwrap();
        assert_eq!(found.boxes, again.boxes);
        let samples = settings["pool_size"].as_u64().unwrap_or(6);
        assert_eq!(alone.calls("dataset.sample"), samples, "read once");

        let medfocus = method(&host(), settings).attribute(&task).unwrap();
        let boxes = found.boxes.unwrap();
        let named: Vec<_> = boxes.iter().map(|b| b.label.as_deref().unwrap()).collect();
        assert_eq!(named, ["left lung", "right lung"]);
        for lung in &boxes {
            let name = lung.label.as_deref().unwrap();
            assert_eq!(
                boxes_of(&concept(&medfocus, name)["boxes"]),
                [lung.bbox],
                "{name}"
            );
        }
        let both = &concept(&medfocus, "bilateral lungs")["boxes"];
        assert_eq!(boxes_of(both), [boxes[0].bbox, boxes[1].bbox]);
        let mask = found.mask.unwrap();
        let (left, right) = (boxes[0].bbox.area(), boxes[1].bbox.area());
        assert!(mask.area() < left + right, "lungs are no boxes");
        assert_eq!(found.evidence["reliable"], medfocus.evidence["reliable"]);
    }
}

#[test]
fn a_pool_without_lungs_is_refused_and_an_empty_slot_named() {
    let mut samples = pool().0;
    for sample in &mut samples {
        sample.masks.remove("right lung");
    }
    let host = LocalHost::new().with_dataset(Cohort(samples));
    let task = task_of(&phantom(TEST, false));
    let error = both_lungs(&host, json!({})).attribute(&task).unwrap_err();
    assert_eq!(
        error.message,
        "no reference of slot `pool` has a mask `right lung`"
    );

    let nothing = both_lungs(&LocalHost::new(), json!({}));
    let error = nothing.attribute(&task).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Missing);
}
