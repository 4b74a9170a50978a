//! The atlas knows names and places, and nothing else.

use std::collections::BTreeMap;

use medfocus_plugin_api::CONCEPTS;
use medfocus_plugin_api::{
    Component, Context, DatasetInfo, DatasetReader, DetectRequest, Detector, ErrorKind, GrayImage,
    Mask, Message, Params, Result, Sample, SampleKey, ScoredBox, Services, testkit::LocalHost,
};
use medfocus_vision_atlas::{AtlasDetector, AtlasParams, members};
use ndarray::{Array2, s};
use serde_json::json;

/// Images of one patient after the other; each concept `i` is a block of 10 x 10, which the second patient has a
/// column further right.
struct Pool;

impl DatasetReader for Pool {
    fn info(&self) -> Result<DatasetInfo> {
        Ok(DatasetInfo::new("pool", 5, ""))
    }

    fn sample(&self, index: u64) -> Result<Sample> {
        let mut masks = BTreeMap::new();
        for (i, concept) in CONCEPTS.into_iter().enumerate() {
            let mut inside = Array2::from_elem((224, 224), false);
            let x = 20 * i + usize::from(index == 1);
            inside.slice_mut(s![50..60, x..x + 10]).fill(true);
            masks.insert(concept.to_owned(), Mask::from_array(inside.view())?);
        }
        if index == 1 {
            masks.remove("mediastinum");
        }
        let mut sample = Sample::new(
            SampleKey {
                dataset: "pool".into(),
                index,
            },
            GrayImage::from_array(Array2::zeros((224, 224)))?,
            "",
            "",
        );
        sample.masks = masks;
        Ok(sample)
    }
}

/// The dataset fills the slot `pool`.
struct Host(LocalHost);

impl Services for Host {
    fn progress(&self, done: u64, total: u64, note: &str) {
        self.0.progress(done, total, note);
    }

    fn cancelled(&self) -> bool {
        self.0.cancelled()
    }

    fn filled(&self, slot: &str) -> bool {
        slot == "pool"
    }

    fn call(&self, _: &str, op: &str, message: Message) -> Result<Message> {
        self.0.call("dataset", op, message)
    }
}

fn detect(
    detector: &AtlasDetector,
    phrases: &[&str],
    threshold: f64,
    limit: u32,
) -> Vec<Vec<ScoredBox>> {
    let request = DetectRequest::new(
        GrayImage::from_array(Array2::zeros((224, 224))).unwrap(),
        phrases.iter().map(|&phrase| phrase.into()).collect(),
        threshold,
        limit,
    );
    detector.detect(&request).unwrap()
}

#[test]
fn phrases_name_concepts_and_pairs() {
    for concept in CONCEPTS {
        assert_eq!(members(concept), [concept]);
        assert_eq!(
            members(&format!(" The {}. ", concept.to_uppercase())),
            [concept]
        );
    }
    for (phrase, pair) in [
        ("lungs", ["left lung", "right lung"]),
        ("both lungs", ["left lung", "right lung"]),
        (
            "the bilateral clavicles",
            ["left clavicle", "right clavicle"],
        ),
        (
            "Bilateral hilar structures",
            ["left hilar structures", "right hilar structures"],
        ),
        (
            "costophrenic angles",
            ["left costophrenic angle", "right costophrenic angle"],
        ),
    ] {
        assert_eq!(members(phrase), pair);
    }
    for unknown in [
        "",
        "the",
        "lung",
        "left",
        "left lung base",
        "heart",
        "sinistre poumon",
        "the\u{0}",
    ] {
        assert!(members(unknown).is_empty(), "{unknown}");
    }
}

#[test]
fn boxes_are_where_most_references_agree() {
    let host = LocalHost::new().with_dataset(Pool);
    let params =
        AtlasParams::from_json(json!({"references": 3}).as_object().unwrap().clone()).unwrap();
    let detector = AtlasDetector::new(params, Context::new(Host(host.clone()))).unwrap();
    let found = detect(
        &detector,
        &["the mediastinum", "moon", "Both lungs"],
        0.1,
        5,
    );
    // Two of three agree on the first column of a block, all on the other nine.
    let agreement = (10.0 * 2.0 + 90.0 * 3.0) / 300.0;
    assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [1, 0, 2]);
    // One has no mediastinum: the two others agree fully.
    assert_eq!(
        (found[0][0].bbox.corners(), found[0][0].score),
        ([60, 50, 70, 60], 1.0)
    );
    assert_eq!(found[0][0].label.as_deref(), Some("the mediastinum"));
    for (lung, x) in found[2].iter().zip([20, 40]) {
        assert_eq!(lung.bbox.corners(), [x, 50, x + 10, 60]);
        assert!((lung.score - agreement).abs() < 1e-12);
    }
    assert_eq!(detect(&detector, &["lungs"], 0.1, 1)[0].len(), 1);
    assert_eq!(detect(&detector, &["lungs"], 0.98, 5)[0].len(), 0);
    assert!(detect(&detector, &[], 0.1, 5).is_empty());
    // Read once.
    assert_eq!(host.calls("dataset.sample"), 3);
}

#[test]
fn an_empty_pool_slot_is_named() {
    let detector: AtlasDetector = LocalHost::new().create(json!({})).unwrap();
    let request = DetectRequest::new(
        GrayImage::from_array(Array2::zeros((224, 224))).unwrap(),
        vec!["lungs".into()],
        0.1,
        5,
    );
    let error = detector.detect(&request).unwrap_err();
    assert_eq!(
        (error.kind, error.to_string()),
        (ErrorKind::Missing, "slot `pool` is empty".into())
    );
}
