//! The plugin as the host sees it: requests, and errors in one sentence.

mod common;

use std::sync::{Arc, Mutex};

use common::{CASES, Fixture, IMAGES, TOLERANCE, copy, edit_weights, folder};
use medfocus_plugin_api::protocol::segmenter::{SEGMENT, serve};
use medfocus_plugin_api::testkit::LocalHost;
use medfocus_plugin_api::{
    BBox, Component, Context, Error, ErrorKind, GrayImage, Message, Result, Segment,
    SegmentRequest, Segmenter, Services, Working,
};
use medfocus_vision_medsam::plugin::{MedSam, Settings};
use ndarray::Array2;
use serde_json::json;

/// A host that remembers every step it is told of.
#[derive(Clone, Default)]
struct Listener(Arc<Mutex<Vec<(u64, u64, String)>>>);

impl Services for Listener {
    fn progress(&self, done: u64, total: u64, note: &str) {
        self.0.lock().unwrap().push((done, total, note.to_owned()));
    }

    fn cancelled(&self) -> bool {
        false
    }

    fn filled(&self, _: &str) -> bool {
        false
    }

    fn call(&self, slot: &str, _: &str, _: Message) -> Result<Message> {
        Err(Error::missing(format!("nothing fills `{slot}`")))
    }
}

fn settings(path: &std::path::Path) -> Settings {
    Settings {
        path: path.display().to_string(),
        device: "cpu".to_owned(),
        ..Settings::default()
    }
}

fn plugin(name: &str) -> MedSam {
    MedSam::new(settings(&folder(name)), LocalHost::new().context()).unwrap()
}

fn refusal(settings: Settings) -> Error {
    MedSam::new(settings, LocalHost::new().context())
        .err()
        .expect("settings that cannot work")
}

fn bbox(x1: u32, y1: u32, x2: u32, y2: u32) -> BBox<Working> {
    BBox::new(x1, y1, x2, y2).unwrap()
}

fn black(boxes: Vec<BBox<Working>>) -> SegmentRequest {
    SegmentRequest::new(
        GrayImage::from_array(Array2::zeros((224, 224))).unwrap(),
        boxes,
    )
}

#[test]
fn boxes_are_refined_as_by_the_reference() {
    for name in CASES {
        let fixture = Fixture::load(name);
        let plugin = LocalHost::new().with_segmenter(plugin(name)).context();
        for index in 0..IMAGES {
            let request = SegmentRequest::new(fixture.image(index), fixture.boxes(index));
            let segments = plugin.segmenter().segment(&request).unwrap();
            assert_eq!(segments.len(), request.boxes.len());
            let (found, best) = (fixture.found(index), fixture.best(index));
            let scores = fixture.tensor(&format!("scores.{index}"));
            for (prompt, segment) in segments.iter().enumerate() {
                assert_eq!(
                    segment.mask.tight_box(),
                    found[prompt],
                    "{name} {index} {prompt}"
                );
                let size = (segment.mask.width(), segment.mask.height());
                assert_eq!(size, (request.image.width(), request.image.height()));
                let score = scores.double_value(&[prompt as i64, best[prompt]]);
                assert!(
                    (segment.confidence - score).abs() < TOLERANCE,
                    "{name} {index} {prompt}"
                );
            }
        }
    }
}

#[test]
fn the_wire_form_is_understood() {
    let request = black(vec![bbox(50, 50, 120, 160)]);
    let plugin = plugin("hub");
    let answer = serve(&plugin, SEGMENT, Message::pack(&request).unwrap()).unwrap();
    let segments: Vec<Segment> = answer.unpack().unwrap();
    assert_eq!(segments[0].mask, plugin.segment(&request).unwrap()[0].mask);
    assert!(serve(&plugin, "detect", Message::pack(&request).unwrap()).is_err());
}

#[test]
fn an_image_is_encoded_once_for_all_its_boxes() {
    let listener = Listener::default();
    let plugin = MedSam::new(settings(&folder("hub")), Context::new(listener.clone())).unwrap();
    let fixture = Fixture::load("hub");
    let request = SegmentRequest::new(fixture.image(0), fixture.boxes(0));
    plugin.segment(&request).unwrap();
    let steps = std::mem::take(&mut *listener.0.lock().unwrap());
    // Three layers, then five boxes: no layer runs twice.
    let expected: Vec<(u64, u64, String)> = (0..8)
        .map(|done| {
            let note = if done < 3 {
                "encoding the image"
            } else {
                "segmenting"
            };
            (done, 8, note.to_owned())
        })
        .collect();
    assert_eq!(steps, expected);
}

#[test]
fn no_box_in_the_image_costs_no_pass() {
    let listener = Listener::default();
    let plugin = MedSam::new(settings(&folder("hub")), Context::new(listener.clone())).unwrap();
    assert!(plugin.segment(&black(Vec::new())).unwrap().is_empty());
    let outside = plugin.segment(&black(vec![bbox(224, 0, 300, 50)])).unwrap();
    assert_eq!((outside[0].mask.area(), outside[0].confidence), (0, 0.0));
    assert_eq!(
        (outside[0].mask.width(), outside[0].mask.height()),
        (224, 224)
    );
    assert!(listener.0.lock().unwrap().is_empty());
}

#[test]
fn a_box_does_not_depend_on_the_others() {
    let plugin = plugin("saved");
    let fixture = Fixture::load("saved");
    let segment = |boxes| {
        let image = fixture.image(0);
        plugin.segment(&SegmentRequest::new(image, boxes)).unwrap()
    };
    let boxes = fixture.boxes(0);
    let outside = bbox(300, 300, 310, 310);
    let all = segment([&[outside], boxes.as_slice()].concat());
    assert_eq!(all[0].mask.area(), 0);
    for (number, &bbox) in boxes.iter().enumerate() {
        let alone = &segment(vec![bbox])[0];
        assert_eq!(alone.mask, all[1 + number].mask);
        assert_eq!(alone.confidence, all[1 + number].confidence);
    }
}

#[test]
fn a_box_beyond_the_border_ends_at_it() {
    let plugin = plugin("hub");
    let segments = plugin
        .segment(&black(vec![
            bbox(180, 150, 224, 224),
            bbox(180, 150, 999, 999),
        ]))
        .unwrap();
    assert_eq!(segments[0].mask, segments[1].mask);
    assert_eq!(segments[0].confidence, segments[1].confidence);
}

#[test]
fn images_of_any_size_are_taken() {
    let plugin = plugin("hub");
    for (height, width) in [(1, 1), (1, 500), (500, 1), (64, 64)] {
        let image = GrayImage::from_array(Array2::from_elem((height, width), 128)).unwrap();
        let boxes = vec![bbox(0, 0, 1, 1)];
        let segments = plugin.segment(&SegmentRequest::new(image, boxes)).unwrap();
        assert_eq!(segments[0].mask.view().dim(), (height, width));
        assert!(segments[0].confidence.is_finite());
    }
}

#[test]
fn the_user_can_stop_it() {
    let host = LocalHost::new();
    let plugin: MedSam = host
        .create(json!({"path": folder("hub").display().to_string(), "device": "cpu"}))
        .unwrap();
    host.cancel();
    let error = plugin.segment(&black(vec![bbox(0, 0, 9, 9)])).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Cancelled);
}

#[test]
fn weights_that_are_not_numbers_are_refused() {
    let spoilt = copy("hub");
    edit_weights(spoilt.path(), |tensors| {
        let name = "mask_decoder.iou_prediction_head.proj_out.bias";
        let nan = tensors[name].copy() * f64::NAN;
        tensors.insert(name.to_owned(), nan);
    });
    let plugin = MedSam::new(settings(spoilt.path()), LocalHost::new().context()).unwrap();
    let error = plugin.segment(&black(vec![bbox(0, 0, 9, 9)])).unwrap_err();
    assert!(error.to_string().contains("not numbers"), "{error}");
}

#[test]
fn settings_that_cannot_work_are_refused_in_one_sentence() {
    let hub = || settings(&folder("hub"));
    let missing = refusal(Settings::default());
    assert!(missing.to_string().contains("`path`"), "{missing}");
    let nowhere = refusal(settings("nowhere".as_ref()));
    assert_eq!(nowhere.kind, ErrorKind::Missing);
    assert!(
        nowhere.to_string().contains("nowhere/config.json"),
        "{nowhere}"
    );
    let device = refusal(Settings {
        device: "gpu".to_owned(),
        ..hub()
    });
    assert!(device.to_string().contains("\"gpu\""), "{device}");
    let format = refusal(Settings {
        dtype: "fp4".to_owned(),
        ..hub()
    });
    assert!(format.to_string().contains("\"fp4\""), "{format}");

    let other = copy("hub");
    std::fs::write(
        other.path().join("config.json"),
        r#"{"model_type": "owlvit"}"#,
    )
    .unwrap();
    let other = refusal(settings(other.path()));
    assert!(other.to_string().contains("owlvit"), "{other}");
    let unprocessed = copy("hub");
    std::fs::remove_file(unprocessed.path().join("preprocessor_config.json")).unwrap();
    let unprocessed = refusal(settings(unprocessed.path()));
    assert!(
        unprocessed.to_string().contains("preprocessor_config.json"),
        "{unprocessed}"
    );
    let mixed = copy("hub");
    std::fs::copy(
        folder("saved").join("model.safetensors"),
        mixed.path().join("model.safetensors"),
    )
    .unwrap();
    let mixed = refusal(settings(mixed.path()));
    assert!(mixed.to_string().contains("shape"), "{mixed}");
    for error in [missing, nowhere, device, format, other, unprocessed, mixed] {
        assert!(!error.to_string().contains('\n'), "{error}");
    }
}
