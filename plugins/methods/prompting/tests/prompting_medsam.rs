//! The way from the model's words to refined regions.

mod common;

use std::sync::{Arc, Mutex};

use common::Says;
use medfocus_method_prompting::PromptingMedSam;
use medfocus_plugin_api::{
    Attribution, AttributionMethod, BBox, DetectRequest, Detector, Error, ErrorKind, Letterbox,
    Mask, Result, ScoredBox, Segment, SegmentRequest, Segmenter, Task, WORKING_SIDE, Working,
    testkit::{LocalHost, toy_task},
};
use ndarray::{Array2, s};
use serde_json::json;

const SIDE: usize = WORKING_SIDE as usize;

fn bbox(x1: u32, y1: u32, x2: u32, y2: u32) -> BBox<Working> {
    BBox::new(x1, y1, x2, y2).unwrap()
}

/// Knows where two things are.
#[derive(Clone, Default)]
struct Finds(Arc<Mutex<Vec<DetectRequest>>>);

impl Detector for Finds {
    fn detect(&self, request: &DetectRequest) -> Result<Vec<Vec<ScoredBox>>> {
        self.0.lock().unwrap().push(request.clone());
        let found = |bbox, score| ScoredBox {
            bbox,
            score,
            label: Some("not the phrase".into()),
        };
        let known = |phrase: &String| match phrase.as_str() {
            "heart" => vec![found(bbox(100, 100, 140, 140), 0.3)],
            "left lung" => vec![
                found(bbox(130, 20, 170, 60), 0.9),
                found(bbox(0, 200, 60, 224), 0.2),
            ],
            _ => Vec::new(),
        };
        Ok(request.phrases.iter().map(known).collect())
    }
}

/// Shrinks each box by ten pixels on each side; nothing is left of one of 20 or fewer.
struct Shrinks;

impl Segmenter for Shrinks {
    fn segment(&self, request: &SegmentRequest) -> Result<Vec<Segment>> {
        let segment = |bbox: &BBox<Working>| {
            let [x1, y1, x2, y2] = bbox.corners().map(|c| c as usize);
            let inside = Array2::from_shape_fn((SIDE, SIDE), |(y, x)| {
                x >= x1 + 10 && x + 10 < x2 && y >= y1 + 10 && y + 10 < y2
            });
            Ok(Segment::new(Mask::from_array(inside.view())?, 0.75))
        };
        request.boxes.iter().map(segment).collect()
    }
}

fn task() -> Task {
    toy_task(Array2::zeros((SIDE, SIDE))).unwrap()
}

fn run(answer: &str, finds: Finds, task: &Task) -> (Attribution, LocalHost) {
    let host = LocalHost::new()
        .with_model(Says::new(answer))
        .with_detector(finds)
        .with_segmenter(Shrinks);
    let method: PromptingMedSam = host.create(json!({})).unwrap();
    (method.attribute(task).unwrap(), host)
}

#[test]
fn descriptions_become_refined_regions() {
    let finds = Finds::default();
    let mut task = task();
    task.image = task.image.with_filled(&bbox(0, 0, 9, 9), 7);
    let (found, host) = run("[\"heart\", \"left lung\", \"moon\"]", finds.clone(), &task);

    let boxes = found.boxes.unwrap();
    let facts: Vec<_> = boxes
        .iter()
        .map(|b| (b.bbox.corners(), b.score, b.label.clone().unwrap()))
        .collect();
    assert_eq!(
        facts,
        [
            ([140, 30, 160, 50], 0.9, "left lung".to_owned()),
            ([110, 110, 130, 130], 0.3, "heart".to_owned()),
            ([10, 210, 50, 214], 0.2, "left lung".to_owned()),
        ]
    );
    let mask = found.mask.unwrap();
    assert_eq!(mask.area(), 20 * 20 + 20 * 20 + 40 * 4);
    assert_eq!((mask.view()[(30, 140)], mask.view()[(29, 140)]), (255, 0));
    assert_eq!(found.evidence["outcome"], "boxes");
    assert_eq!(
        found.evidence["phrases"],
        json!(["heart", "left lung", "moon"])
    );
    assert_eq!(found.evidence["detections"][0], json!([130, 20, 170, 60]));
    assert_eq!(found.evidence["confidences"], json!([0.75, 0.75, 0.75]));
    assert_eq!(
        found.evidence["question"],
        "Is there evidence of a bright spot in the image? Give the evidence as a JSON list of short region descriptions."
    );

    // One request for all descriptions and one for all boxes.
    assert_eq!(
        (
            host.calls("detector.detect"),
            host.calls("segmenter.segment")
        ),
        (1, 1)
    );
    let request = finds.0.lock().unwrap().pop().unwrap();
    assert_eq!((request.threshold, request.limit), (0.10, 5));
    assert!(request.image == task.image);
}

#[test]
fn an_empty_mask_keeps_its_prompt_and_padding_is_no_evidence() {
    // A portrait: columns 56 to 168 show it.
    let mut task = task();
    task.letterbox = Letterbox::new(500, 1000, WORKING_SIDE).unwrap();
    let (found, _) = run("[\"left lung\"]", Finds::default(), &task);
    let boxes = found.boxes.unwrap();
    assert_eq!(boxes[0].bbox.corners(), [140, 30, 158, 50]);
    // Only four columns of the second detection show the image: nothing is left when they shrink.
    assert_eq!(boxes[1].bbox.corners(), [56, 200, 60, 224]);
    assert_eq!(found.mask.unwrap().area(), 18 * 20 + 4 * 24);
}

#[test]
fn outcomes_without_boxes_call_nothing_in_vain() {
    for (answer, outcome, detects, warnings) in [
        ("[]", "none", 0, 0),
        ("I see nothing", "unreadable", 0, 1),
        ("[\"moon\"]", "nothing_detected", 1, 1),
    ] {
        let (found, host) = run(answer, Finds::default(), &task());
        assert_eq!(found.evidence["outcome"], outcome);
        assert_eq!(found.boxes.as_deref(), Some(&[][..]));
        assert!(found.mask.is_none());
        assert_eq!(found.warnings.len(), warnings);
        assert_eq!(host.calls("detector.detect"), detects);
        assert_eq!(host.calls("segmenter.segment"), 0);
    }
}

#[test]
fn an_empty_slot_is_named() {
    let missing = |host: LocalHost| -> Error {
        let method: PromptingMedSam = host.create(json!({})).unwrap();
        method.attribute(&task()).unwrap_err()
    };
    let host = LocalHost::new().with_model(Says::new("[\"heart\"]"));
    let error = missing(host.with_segmenter(Shrinks));
    assert_eq!(
        (error.kind, error.to_string()),
        (ErrorKind::Missing, "slot `detector` is empty".into())
    );
    let host = LocalHost::new().with_model(Says::new("[\"heart\"]"));
    let error = missing(host.with_detector(Finds::default()));
    assert_eq!(
        (error.kind, error.to_string()),
        (ErrorKind::Missing, "slot `segmenter` is empty".into())
    );
}

/// Answers once, and with masks of the wrong size.
struct Wrong;

impl Detector for Wrong {
    fn detect(&self, _: &DetectRequest) -> Result<Vec<Vec<ScoredBox>>> {
        Ok(vec![Vec::new()])
    }
}

impl Segmenter for Wrong {
    fn segment(&self, request: &SegmentRequest) -> Result<Vec<Segment>> {
        let mut inside = Array2::from_elem((9, 9), false);
        inside.slice_mut(s![2..4, ..]).fill(true);
        let mask = Mask::from_array(inside.view())?;
        Ok(request
            .boxes
            .iter()
            .map(|_| Segment::new(mask.clone(), 1.0))
            .collect())
    }
}

#[test]
fn answers_that_do_not_fit_are_refused() {
    let host = LocalHost::new()
        .with_model(Says::new("[\"a\", \"b\"]"))
        .with_detector(Wrong);
    let method: PromptingMedSam = host.create(json!({})).unwrap();
    let error = method.attribute(&task()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the detector answered 1 times to 2 descriptions"
    );

    let host = LocalHost::new()
        .with_model(Says::new("[\"heart\"]"))
        .with_detector(Finds::default())
        .with_segmenter(Wrong);
    let method: PromptingMedSam = host.create(json!({})).unwrap();
    let error = method.attribute(&task()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the segmenter's masks have 9 x 9 pixels, the image 224 x 224"
    );
}
