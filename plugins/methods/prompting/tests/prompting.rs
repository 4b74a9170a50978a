//! The model's boxes in the working image, and what is recorded of the exchange.

mod common;

use common::Says;
use medfocus_method_prompting::{Prompting, PromptingParams};
use medfocus_plugin_api::{
    Attribution, AttributionMethod, Coordinates, ErrorKind, Letterbox, Mode, Task, WORKING_SIDE,
    testkit::{LocalHost, toy_task},
};
use ndarray::Array2;
use proptest::prelude::*;
use serde_json::{Value, json};

fn task() -> Task {
    toy_task(Array2::zeros((224, 224))).unwrap()
}

fn attribute(model: Says, params: Value, task: &Task) -> Attribution {
    let host = LocalHost::new().with_model(model);
    let method: Prompting = host.create(params).unwrap();
    let found = method.attribute(task).unwrap();
    assert_eq!(host.calls("model.generate"), 1);
    found
}

fn corners(found: &Attribution) -> Vec<[u32; 4]> {
    let boxes = found.boxes.as_ref().unwrap();
    boxes.iter().map(|found| found.bbox.corners()).collect()
}

#[test]
fn the_question_asks_for_the_models_own_convention() {
    let base = "Is there evidence of a bright spot in the image?";
    let ask = |model: Says, params: Value, task: &Task| {
        let asked = model.asked.clone();
        attribute(model, params, task);
        asked.lock().unwrap().pop().unwrap()
    };
    let thousand = " Give the evidence as a JSON list of boxes [y1, x1, y2, x2] with coordinates from 0 to 1000.";
    let pixels = " Give the evidence as a JSON list of boxes [x1, y1, x2, y2] in pixels of a 112 x 56 image.";
    assert_eq!(
        ask(Says::new("[]"), json!({}), &task()),
        format!("{base}{thousand}")
    );
    let qwen = Says {
        coordinates: Coordinates::XyxyPixels,
        input: Some((56, 112)),
        ..Says::new("[]")
    };
    assert_eq!(
        ask(qwen.clone(), json!({}), &task()),
        format!("{base}{pixels}")
    );
    assert_eq!(
        ask(qwen, json!({"coordinates": "yxyx_1000"}), &task()),
        format!("{base}{thousand}")
    );
    assert_eq!(
        ask(Says::new("[]"), json!({"prompt": " Where?"}), &task()),
        format!("{base} Where?")
    );
    // Only the suffix of the task's mode is taken off.
    let mut reasoning = task();
    reasoning.mode = Mode::Reasoning;
    let asked = ask(Says::new("[]"), json!({"prompt": " Where?"}), &reasoning);
    assert_eq!(asked, format!("{base}{} Where?", Mode::Direct.suffix()));
}

#[test]
fn coordinates_by_family_by_parameter_and_by_value() {
    let text = "[[250, 500, 1000, 750]]";
    assert_eq!(
        corners(&attribute(Says::new(text), json!({}), &task())),
        [[112, 56, 168, 224]]
    );
    let pixels = Says {
        coordinates: Coordinates::XyxyPixels,
        input: Some((448, 896)),
        ..Says::new("[[448, 112, 896, 336]]")
    };
    let found = attribute(pixels, json!({}), &task());
    assert_eq!(corners(&found), [[112, 56, 224, 168]]);
    assert_eq!(found.evidence["coordinates"], "xyxy_pixels");
    // Without a fixed input, pixels are those of the working image.
    let params = json!({"coordinates": "xyxy_pixels"});
    let found = attribute(Says::new("[1, 2, 3, 4]"), params, &task());
    assert_eq!(corners(&found), [[1, 2, 3, 4]]);
    let params = json!({"coordinates": "xyxy_unit"});
    let found = attribute(Says::new("[0.5, 0, 1, 0.25]"), params, &task());
    assert_eq!(corners(&found), [[112, 0, 224, 56]]);
    // The order stays the model's.
    let found = attribute(
        Says::new("[0.5, 0, 1, 0.25]"),
        json!({"coordinates": "auto"}),
        &task(),
    );
    assert_eq!(corners(&found), [[0, 112, 56, 224]]);
    assert_eq!(found.evidence["coordinates"], "yxyx_unit");
    let found = attribute(Says::new(text), json!({"coordinates": "auto"}), &task());
    assert_eq!(corners(&found), [[112, 56, 168, 224]]);
}

#[test]
fn boxes_keep_the_models_order_and_its_labels() {
    let text =
        r#"[{"box_2d": [500, 500, 1000, 1000], "label": "second"}, {"box_2d": [0, 0, 500, 500]}]"#;
    let found = attribute(Says::new(text), json!({}), &task());
    assert_eq!(corners(&found), [[112, 112, 224, 224], [0, 0, 112, 112]]);
    let boxes = found.boxes.unwrap();
    assert!(boxes.iter().all(|b| b.score == 1.0));
    assert_eq!(boxes[0].label.as_deref(), Some("second"));
    assert_eq!(boxes[1].label, None);
    assert_eq!(found.evidence["outcome"], "boxes");
    assert_eq!(found.evidence["text"], text);
    let probability = found.evidence["mean_probability"].as_f64().unwrap();
    assert!((probability - 0.375).abs() < 1e-6);
    assert!(found.warnings.is_empty() && found.heat.is_none());
}

#[test]
fn wrong_corners_are_mended_or_dropped() {
    let text = "[[750, 1000, 250, 500], [-1e9, -5, 1e308, 500], [0, 0, 0, 500], [1e999, 1e999, 2e999, 2e999], \
                [1200, 0, 1300, 10], [100, 100, 100.1, 100.1]]";
    let found = attribute(Says::new(text), json!({}), &task());
    assert_eq!(
        corners(&found),
        [[112, 56, 224, 168], [0, 0, 112, 224], [22, 22, 23, 23]]
    );
    assert_eq!(found.evidence["dropped"], 3);
    assert_eq!(
        found.warnings,
        ["3 of the model's 6 boxes are empty or outside the image and were dropped"]
    );
}

#[test]
fn three_outcomes_are_told_apart() {
    let none = attribute(Says::new("[]"), json!({}), &task());
    assert_eq!(none.evidence["outcome"], "none");
    assert_eq!(corners(&none).len(), 0);
    assert!(none.warnings.is_empty());

    let model = Says {
        complete: false,
        ..Says::new(&"ü".repeat(5000))
    };
    let unreadable = attribute(model, json!({"max_new_tokens": 9}), &task());
    assert_eq!(unreadable.evidence["outcome"], "unreadable");
    assert_eq!(corners(&unreadable).len(), 0);
    assert_eq!(unreadable.evidence["text"], "ü".repeat(2000));
    assert_eq!(unreadable.evidence["complete"], false);
    assert_eq!(unreadable.warnings.len(), 2);
    assert!(unreadable.warnings[0].contains("after 9 tokens"));
}

#[test]
fn without_a_model_it_says_so() {
    let method = LocalHost::new().create::<Prompting>(json!({})).unwrap();
    let error = method.attribute(&task()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Missing);
    assert!(error.to_string().contains("`model`"));
    assert_eq!(PromptingParams::default().max_new_tokens, 256);
}

proptest! {
    #[test]
    fn every_box_lies_in_the_image_nearest_to_where_it_was_said(
        width in 1u32..3000, height in 1u32..3000, said in proptest::array::uniform4(-500f64..1500.0),
    ) {
        let mut task = task();
        task.letterbox = Letterbox::new(width, height, WORKING_SIDE).unwrap();
        let content = task.letterbox.content();
        let found = attribute(Says::new(&format!("{said:?}")), json!({}), &task);
        let [left, top, right, bottom] = content.corners().map(f64::from);
        let [y1, x1, y2, x2] = said.map(|v| v * 224.0 / 1000.0);
        let clip = |a: f64, b: f64, low: f64, high: f64| (a.min(b).clamp(low, high), a.max(b).clamp(low, high));
        let (x, y) = (clip(x1, x2, left, right), clip(y1, y2, top, bottom));
        let boxes = found.boxes.unwrap();
        if x.0 < x.1 && y.0 < y.1 {
            prop_assert_eq!(boxes.len(), 1);
            let bbox = boxes[0].bbox;
            prop_assert_eq!(bbox.intersection(&content), Some(bbox));
            // Half a pixel by rounding, and one more where the box is widened to a whole pixel.
            for (found, exact) in bbox.corners().into_iter().zip([x.0, y.0, x.1, y.1]) {
                prop_assert!((f64::from(found) - exact).abs() <= 1.5);
            }
        } else {
            prop_assert!(boxes.is_empty());
        }
    }
}
