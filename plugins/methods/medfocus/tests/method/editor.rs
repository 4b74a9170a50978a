//! The optional editor.

use std::sync::{Arc, Mutex};

use crate::host::{boxes_of, host, method, model, pool, task, try_method};
use crate::published::published;
use medfocus_imaging::working;
use medfocus_phantom::{CaseOptions, render, sample_case};
use medfocus_plugin_api::{
    AttributionMethod, BBox, CounterfactualEditor, EditRequest, ErrorKind, GenerateRequest,
    Generation, GrayImage, Letterbox, ModelInfo, Native, Result, SampleKey, ScoreRequest, Scores,
    Task, Trace, TraceRequest, VisionLanguageModel, Working,
    protocol::editor::Side,
    testkit::{LocalHost, ToyModel},
};
use ndarray::{Array2, s};
use serde_json::{Value, json};

/// Makes the region white and all else black, and remembers what it was asked for.
#[derive(Clone, Default)]
struct Marker(Arc<Mutex<Vec<EditRequest>>>);

impl CounterfactualEditor for Marker {
    fn edit(&self, request: &EditRequest) -> Result<GrayImage> {
        self.0.lock().unwrap().push(request.clone());
        let mut image = request.image.with_filled(&whole(&request.image), 0);
        for bbox in &request.boxes {
            image = image.with_filled(bbox, 255);
        }
        match &request.mask {
            Some(mask) => GrayImage::from_array(mask.view().to_owned()),
            None => Ok(image),
        }
    }
}

fn whole(image: &GrayImage) -> BBox<Native> {
    BBox::whole(image.width(), image.height()).unwrap()
}

/// Remembers the images it scored.
#[derive(Clone)]
struct Watched(ToyModel, Arc<Mutex<Vec<GrayImage>>>);

impl VisionLanguageModel for Watched {
    fn info(&self) -> Result<ModelInfo> {
        self.0.info()
    }
    fn generate(&self, request: &GenerateRequest) -> Result<Generation> {
        self.0.generate(request)
    }
    fn score(&self, request: &ScoreRequest) -> Result<Scores> {
        self.1
            .lock()
            .unwrap()
            .extend(request.images.iter().cloned());
        self.0.score(request)
    }
    fn trace(&self, request: &TraceRequest) -> Result<Trace> {
        self.0.trace(request)
    }
}

/// A patient on a film of 300 x 480 pixels: 140 x 224 of the working image, 42 columns from its left.
fn tall() -> Task {
    let case = sample_case(7, &CaseOptions::default());
    let native = render(&case.patient, &[], 480, 300).image;
    let working = working::letterbox(native.view(), 224);
    let mut task = task();
    task.image = GrayImage::from_array(working).unwrap();
    task.native = GrayImage::from_array(native).unwrap();
    task.letterbox = Letterbox::new(300, 480, 224).unwrap();
    task.seed = 99;
    task.sample = Some(SampleKey {
        dataset: "films".into(),
        index: 3,
    });
    task
}

/// What was asked of the editor, which images were scored, and the boxes of each concept.
struct Seen {
    requests: Vec<EditRequest>,
    images: Vec<GrayImage>,
    boxes: Vec<Vec<BBox<Working>>>,
}

fn watch(task: &Task, params: Value) -> Seen {
    let (marker, watched) = (Marker::default(), Watched(model(), Arc::default()));
    let host = LocalHost::new()
        .with_model(watched.clone())
        .with_dataset(pool())
        .with_editor(marker.clone());
    let found = method(&host, params).attribute(task).unwrap();
    let concepts = found.evidence["concepts"].as_array().unwrap();
    let boxes: Vec<_> = concepts
        .iter()
        .map(|concept| boxes_of(&concept["boxes"]))
        .collect();
    let images = watched.1.lock().unwrap().clone();
    assert_eq!(images.len(), 1 + boxes.len(), "all are different");
    let requests = marker.0.lock().unwrap().clone();
    assert_eq!(requests.len(), boxes.len(), "an edit for each");
    assert_eq!(host.calls("editor.edit"), boxes.len() as u64);
    Seen {
        requests,
        images,
        boxes,
    }
}

#[test]
fn only_a_concepts_pixels_come_from_the_editor() {
    let task = tall();
    let seen = watch(&task, json!({"replacement": "editor"}));
    assert_eq!(seen.images[0], task.image);
    for ((boxes, request), image) in seen.boxes.iter().zip(&seen.requests).zip(&seen.images[1..]) {
        let native = |bbox: &BBox<Working>| {
            let [x1, y1, x2, y2] = bbox.corners().map(f64::from);
            let scale = 480.0 / 224.0;
            let edges = [
                (x1 - 42.0) * 300.0 / 140.0,
                y1 * scale,
                (x2 - 42.0) * 300.0 / 140.0,
                y2 * scale,
            ];
            BBox::nearest(edges, 300, 480).unwrap()
        };
        let expected: Vec<BBox<Native>> = boxes.iter().map(native).collect();
        assert_eq!(request.boxes, expected);
        assert!(request.image == task.native && request.mask.is_none());
        let mut edited = task.image.view().to_owned();
        for bbox in boxes {
            let [x1, y1, x2, y2] = bbox.corners().map(|c| c as usize);
            let now = image.view();
            // Within two pixels of its edge a region is resampled together with its surroundings.
            let core = now.slice(s![y1 + 2..y2 - 2, x1 + 2..x2 - 2]);
            assert!(core.iter().all(|&pixel| pixel == 255), "{bbox:?}");
            let pixels = s![y1..y2, x1..x2];
            edited.slice_mut(pixels).assign(&now.slice(pixels));
        }
        assert_eq!(image.view(), edited, "nothing else changed");
    }
}

#[test]
fn a_mask_is_edited_where_a_mask_is_replaced() {
    let task = tall();
    let seen = watch(
        &task,
        json!({"replacement": "editor", "intervention": "mask"}),
    );
    for ((boxes, request), image) in seen.boxes.iter().zip(&seen.requests).zip(&seen.images[1..]) {
        let mask = request.mask.as_ref().unwrap();
        assert_eq!((mask.width(), mask.height()), (300, 480));
        let changed =
            Array2::from_shape_fn((224, 224), |at| image.view()[at] != task.image.view()[at]);
        let shown = medfocus_attribution::mask_to_working(mask, &task.letterbox).unwrap();
        for (at, &changed) in changed.indexed_iter() {
            let (y, x) = (at.0 as u32, at.1 as u32);
            assert!(!changed || shown[at], "{at:?}");
            assert!(!changed || boxes.iter().any(|bbox| bbox.contains(x, y)));
        }
    }
}

#[test]
fn the_editor_is_told_what_to_show() {
    let task = tall();
    let seen = watch(&task, json!({"replacement": "editor", "composites": false}));
    for request in &seen.requests {
        assert_eq!(request.prompt, "No bright spot");
        assert_eq!((request.side, request.seed), (Side::Foreground, 99));
        assert_eq!(request.sample, task.sample);
    }
    for finding in [None, Some(String::new())] {
        let mut task = task.clone();
        task.finding = finding;
        let seen = watch(&task, json!({"replacement": "editor"}));
        assert!(seen.requests.iter().all(|r| r.prompt == "No abnormality"));
    }
    let own = json!({"replacement": "editor", "prompt": "A healthy chest"});
    let seen = watch(&task, own);
    assert!(seen.requests.iter().all(|r| r.prompt == "A healthy chest"));
}

/// Answers with the working image.
struct Shrunk;

impl CounterfactualEditor for Shrunk {
    fn edit(&self, _: &EditRequest) -> Result<GrayImage> {
        GrayImage::from_array(Array2::zeros((224, 140)))
    }
}

#[test]
fn an_edit_of_another_size_is_refused() {
    let host = host().with_editor(Shrunk);
    let method = method(&host, json!({"replacement": "editor"}));
    let error = method.attribute(&tall()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Protocol);
    assert_eq!(
        error.message,
        "the editor was given an image of 300 x 480 pixels and answered with 140 x 224"
    );
}

#[test]
fn an_editor_that_is_not_there_is_missed_at_once() {
    let error = try_method(&host(), json!({"replacement": "editor"}))
        .err()
        .unwrap();
    assert_eq!(error.kind, ErrorKind::Missing);
    assert!(
        error.to_string().contains("slots.editor.component"),
        "{error}"
    );
}

#[test]
fn an_editor_is_asked_only_if_it_is_wanted() {
    let with = host().with_editor(Shrunk);
    for params in [json!({}), published()] {
        let attribute = |host| method(host, params.clone()).attribute(&task()).unwrap();
        let (plain, beside) = (attribute(&host()), attribute(&with));
        assert_eq!(
            (plain.evidence, plain.boxes),
            (beside.evidence, beside.boxes)
        );
        assert_eq!(with.calls("editor.edit"), 0);
    }
}
