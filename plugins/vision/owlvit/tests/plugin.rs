//! The plugin as the host sees it: requests, and errors in one sentence.

mod common;

use std::sync::{Arc, Mutex};

use common::{CASES, Fixture, IMAGES, TOLERANCE, copy, edit_weights, folder};
use medfocus_plugin_api::protocol::detector::{DETECT, serve};
use medfocus_plugin_api::testkit::LocalHost;
use medfocus_plugin_api::{
    Component, Context, DetectRequest, Detector, Error, ErrorKind, GrayImage, Message, Result,
    ScoredBox, Services,
};
use medfocus_vision_owlvit::plugin::{OwlVitDetector, Settings};
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

fn plugin(name: &str) -> OwlVitDetector {
    OwlVitDetector::new(settings(&folder(name)), LocalHost::new().context()).unwrap()
}

fn refusal(settings: Settings) -> Error {
    OwlVitDetector::new(settings, LocalHost::new().context())
        .err()
        .expect("settings that cannot work")
}

/// A request as published: scores above 0.10, at most five boxes.
fn published(image: GrayImage, phrases: &[String]) -> DetectRequest {
    DetectRequest::new(image, phrases.to_vec(), 0.10, 5)
}

fn black(phrases: &[&str]) -> DetectRequest {
    let phrases: Vec<String> = phrases.iter().map(|&phrase| phrase.to_owned()).collect();
    let image = GrayImage::from_array(Array2::zeros((224, 224))).unwrap();
    published(image, &phrases)
}

fn same(a: &[ScoredBox], b: &[ScoredBox]) -> bool {
    a.len() == b.len()
        && a.iter()
            .zip(b)
            .all(|(a, b)| a.bbox == b.bbox && (a.score - b.score).abs() < 1e-12)
}

#[test]
fn phrases_are_found_where_the_reference_finds_them() {
    for name in CASES {
        let fixture = Fixture::load(name);
        let plugin = LocalHost::new().with_detector(plugin(name)).context();
        for index in 0..IMAGES {
            let request = published(fixture.image(index), &fixture.sought());
            let lists = plugin.detector().detect(&request).unwrap();
            let expected = &fixture.facts.found[index];
            assert_eq!(lists.len(), expected.len());
            for ((list, expected), phrase) in lists.iter().zip(expected).zip(&request.phrases) {
                let corners: Vec<_> = list.iter().map(|found| found.bbox.corners()).collect();
                let wanted: Vec<_> = expected.iter().map(|found| found.corners).collect();
                assert_eq!(corners, wanted, "{name} {index} {phrase}");
                for (found, expected) in list.iter().zip(expected) {
                    assert!((found.score - expected.score).abs() < TOLERANCE);
                    assert_eq!(found.label.as_ref(), Some(phrase));
                }
            }
        }
    }
}

#[test]
fn the_wire_form_is_understood() {
    let fixture = Fixture::load("hub");
    let request = published(fixture.image(0), &fixture.sought());
    let plugin = plugin("hub");
    let answer = serve(&plugin, DETECT, Message::pack(&request).unwrap()).unwrap();
    let lists: Vec<Vec<ScoredBox>> = answer.unpack().unwrap();
    assert!(same(&lists[0], &plugin.detect(&request).unwrap()[0]));
    assert!(serve(&plugin, "segment", Message::pack(&request).unwrap()).is_err());
}

#[test]
fn an_image_is_encoded_once_for_all_phrases_and_not_for_none() {
    let listener = Listener::default();
    let context = Context::new(listener.clone());
    let plugin = OwlVitDetector::new(settings(&folder("hub")), context).unwrap();
    assert!(plugin.detect(&black(&[])).unwrap().is_empty());
    assert!(listener.0.lock().unwrap().is_empty());
    plugin.detect(&black(&["heart", "left lung"])).unwrap();
    let steps = std::mem::take(&mut *listener.0.lock().unwrap());
    let expected: Vec<(u64, u64, String)> = (0..5)
        .map(|done| {
            let note = if done < 3 {
                "encoding the image"
            } else {
                "looking for phrases"
            };
            (done, 5, note.to_owned())
        })
        .collect();
    assert_eq!(steps, expected);
}

#[test]
fn a_phrase_does_not_depend_on_the_others() {
    let plugin = plugin("saved");
    let fixture = Fixture::load("saved");
    let sought = fixture.sought();
    let all = plugin
        .detect(&published(fixture.image(0), &sought))
        .unwrap();
    for (number, phrase) in sought.iter().enumerate() {
        let request = published(fixture.image(0), std::slice::from_ref(phrase));
        assert!(same(&plugin.detect(&request).unwrap()[0], &all[number]));
    }
}

#[test]
fn a_long_phrase_is_cut_and_an_empty_one_read() {
    let fixture = Fixture::load("hub");
    let plugin = plugin("hub");
    let long = fixture.facts.phrases.last().unwrap().text.clone();
    let longer = format!("{long} and more");
    let phrases = [long, longer, String::new()];
    let lists = plugin
        .detect(&published(fixture.image(0), &phrases))
        .unwrap();
    assert_eq!(lists.len(), 3);
    assert!(same(&lists[0], &lists[1]));
}

#[test]
fn images_of_any_size_are_taken() {
    let plugin = plugin("hub");
    for (height, width) in [(1, 1), (1, 500), (500, 1), (64, 64)] {
        let image = GrayImage::from_array(Array2::from_elem((height, width), 128)).unwrap();
        let request = DetectRequest::new(image, vec!["heart".to_owned()], 0.0, 100);
        for found in &plugin.detect(&request).unwrap()[0] {
            let [_, _, x2, y2] = found.bbox.corners();
            assert!(x2 < width as u32 && y2 < height as u32);
        }
    }
}

#[test]
fn the_user_can_stop_it() {
    let host = LocalHost::new();
    let plugin: OwlVitDetector = host
        .create(json!({"path": folder("hub").display().to_string(), "device": "cpu"}))
        .unwrap();
    host.cancel();
    let error = plugin.detect(&black(&["heart"])).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Cancelled);
}

#[test]
fn weights_that_are_not_numbers_are_refused() {
    for name in ["class_head.logit_shift.bias", "box_head.dense2.bias"] {
        let spoilt = copy("hub");
        edit_weights(spoilt.path(), |tensors| {
            let nan = tensors[name].copy() * f64::NAN;
            tensors.insert(name.to_owned(), nan);
        });
        let plugin = OwlVitDetector::new(settings(spoilt.path()), LocalHost::new().context());
        let error = plugin.unwrap().detect(&black(&["heart"])).unwrap_err();
        assert!(error.to_string().contains("not numbers"), "{name}: {error}");
    }
}

#[test]
fn settings_that_cannot_work_are_refused_in_one_sentence() {
    let hub = || settings(&folder("hub"));
    let spoilt = |spoil: &dyn Fn(&std::path::Path)| {
        let folder = copy("hub");
        spoil(folder.path());
        refusal(settings(folder.path()))
    };
    let nowhere = refusal(settings("nowhere".as_ref()));
    assert_eq!(nowhere.kind, ErrorKind::Missing);
    let gpu = Settings {
        device: "gpu".to_owned(),
        ..hub()
    };
    let fp4 = Settings {
        dtype: "fp4".to_owned(),
        ..hub()
    };
    let other = spoilt(&|folder| {
        let config = r#"{"model_type": "owlv2"}"#;
        std::fs::write(folder.join("config.json"), config).unwrap();
    });
    let remove = |name: &'static str| {
        spoilt(&move |folder| std::fs::remove_file(folder.join(name)).unwrap())
    };
    let mixed = spoilt(&|path| {
        let weights = folder("saved").join("model.safetensors");
        std::fs::copy(weights, path.join("model.safetensors")).unwrap();
    });
    for (error, named) in [
        (refusal(Settings::default()), "`path`"),
        (nowhere, "nowhere/config.json"),
        (refusal(gpu), "\"gpu\""),
        (refusal(fp4), "\"fp4\""),
        (other, "owlv2"),
        (
            remove("preprocessor_config.json"),
            "preprocessor_config.json",
        ),
        (remove("vocab.json"), "vocab.json"),
        (mixed, "shape"),
    ] {
        let error = error.to_string();
        assert!(
            error.contains(named) && !error.contains('\n'),
            "{named}: {error}"
        );
    }
}
