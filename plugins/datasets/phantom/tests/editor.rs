//! The oracle: what it changes, to the pixel, and what it refuses.

use medfocus_dataset_phantom::{PhantomEditor, PhantomReader};
use medfocus_imaging::working::letterbox;
use medfocus_phantom::{CaseOptions, Finding, render, sample_case};
use medfocus_plugin_api::{
    BBox, CounterfactualEditor, DatasetReader, EditRequest, GrayImage, Letterbox, Sample,
    protocol::editor::Side, testkit::LocalHost,
};
use ndarray::{Array2, ArrayView2, Zip};
use serde_json::{Value, json};

const FINDINGS: u64 = Finding::ALL.len() as u64;
/// The first seed of the held-out split.
const FIRST: u64 = 1 << 40;

fn reader(params: Value) -> PhantomReader {
    LocalHost::new().create(params).unwrap()
}

fn editor(params: Value) -> PhantomEditor {
    LocalHost::new().create(params).unwrap()
}

fn request(sample: &Sample, side: Side, prompt: &str, seed: u64) -> EditRequest {
    let mut request = EditRequest::new(sample.image.clone(), sample.boxes.clone(), prompt);
    request.side = side;
    request.seed = seed;
    request.sample = Some(sample.key.clone());
    request
}

fn edit(request: &EditRequest) -> GrayImage {
    editor(json!({})).edit(request).unwrap()
}

/// Where the two differ on the edited side, and on the other: the sum of the differences' sizes.
fn differences(request: &EditRequest, a: ArrayView2<'_, u8>, b: ArrayView2<'_, u8>) -> [u64; 2] {
    let edited = request.edited().unwrap();
    let mut sums = [0; 2];
    Zip::from(a).and(b).and(&edited).for_each(|a, b, edited| {
        sums[usize::from(!edited)] += u64::from(a.abs_diff(*b));
    });
    sums
}

/// The patient of a sample without the finding asked about, and with none at all.
fn counterfactuals(sample: &Sample) -> [Array2<u8>; 2] {
    let finding = Finding::from_name(&sample.finding).unwrap();
    let options = CaseOptions {
        require: Some(finding),
        ..CaseOptions::default()
    };
    let case = sample_case(FIRST + sample.key.index, &options);
    let (height, width) = sample.image.view().dim();
    let film = |findings: &[_]| render(&case.patient, findings, height, width).image;
    [film(&case.without(finding)), film(&[])]
}

/// Mean difference on the edited side, in grey levels: grain cancels out, and lung texture nearly.
fn bias(request: &EditRequest, a: ArrayView2<'_, u8>, b: ArrayView2<'_, u8>) -> f64 {
    let edited = request.edited().unwrap();
    let (mut sum, mut pixels) = (0.0, 0.0);
    Zip::from(a).and(b).and(&edited).for_each(|a, b, edited| {
        if *edited {
            sum += f64::from(*a) - f64::from(*b);
            pixels += 1.0;
        }
    });
    sum / pixels
}

#[test]
fn the_foreground_is_the_same_patient_without_the_finding() {
    let reader = reader(json!({}));
    for index in 0..4 * FINDINGS {
        let sample = reader.sample(index).unwrap();
        let request = request(
            &sample,
            Side::Foreground,
            &format!("No {}", sample.finding),
            7,
        );
        let edited = edit(&request);
        let [without, _] = counterfactuals(&sample);
        let [inside, outside] = differences(&request, edited.view(), without.view());
        assert_eq!(inside, 0, "{} of {index}", sample.finding);
        let [changed, beyond] = differences(&request, edited.view(), sample.image.view());
        assert!(changed > 0, "{} of {index} shows nowhere", sample.finding);
        assert_eq!(beyond, 0);
        // The annotated box holds nearly all that the finding does to the film.
        assert!(
            outside * 10 <= changed,
            "{} of {index}: {outside} beyond the box, {changed} within",
            sample.finding
        );
        // Nothing is drawn: the seed changes nothing.
        let mut other = request.clone();
        other.seed = 8;
        assert_eq!(edit(&other), edited);
    }
}

#[test]
fn the_background_changes_and_the_finding_stays() {
    let reader = reader(json!({}));
    for index in 0..2 * FINDINGS {
        let sample = reader.sample(index).unwrap();
        let absent = format!("No {}", sample.finding);
        let mut films = Vec::new();
        for (prompt, seed) in [(&*absent, 1), (&*absent, 2), ("No abnormality", 1)] {
            let request = request(&sample, Side::Background, prompt, seed);
            let edited = edit(&request);
            let [outside, inside] = differences(&request, edited.view(), sample.image.view());
            assert_eq!(inside, 0, "{prompt}: the finding of {index} changed");
            assert!(outside > 10_000, "{prompt}: little changed around {index}");
            assert_eq!(edit(&request), edited, "the same request, another answer");
            films.push(edited);
        }
        assert_ne!(films[0], films[1], "the seed of {index} changes nothing");
        // Of a normal background only the grain differs from the healthy patient's, and perhaps the marker.
        let request = request(&sample, Side::Background, "No abnormality", 1);
        let [_, healthy] = counterfactuals(&sample);
        let bias = bias(&request, films[2].view(), healthy.view());
        assert!(bias.abs() < 1.5, "{bias} grey levels around {index}");
    }
}

#[test]
fn a_sham_draws_only_the_grain_anew() {
    let reader = reader(json!({}));
    for index in 0..FINDINGS {
        let sample = reader.sample(index).unwrap();
        let request = request(&sample, Side::Foreground, &sample.finding, 3);
        let edited = edit(&request);
        let [inside, outside] = differences(&request, edited.view(), sample.image.view());
        assert_eq!(outside, 0);
        // Grain and texture have some grey levels at most; the findings have dozens.
        let mean = inside as f64 / sample.boxes[0].area() as f64;
        assert!(0.0 < mean && mean < 15.0, "{mean} grey levels in {index}");
    }
}

#[test]
fn films_of_any_size_are_edited_as_the_model_sees_them() {
    let params = json!({"width": 384, "height": 448, "max_shift": 0.05, "max_zoom": 0.1});
    let (reader, editor) = (reader(params.clone()), editor(params));
    let sample = reader.sample(3).unwrap();
    let place = Letterbox::new(384, 448, 224).unwrap();
    let [x1, y1, x2, y2] = place.to_working(&sample.boxes[0]).unwrap().corners();
    let mut request = request(
        &sample,
        Side::Foreground,
        &format!("No {}", sample.finding),
        0,
    );
    request.image = GrayImage::from_array(letterbox(sample.image.view(), 224)).unwrap();
    request.boxes = vec![BBox::new(x1, y1, x2, y2).unwrap()];
    let edited = editor.edit(&request).unwrap();
    let [inside, outside] = differences(&request, edited.view(), request.image.view());
    assert!(inside > 0);
    assert_eq!(outside, 0);
}

#[test]
fn what_is_not_its_patient_is_refused() {
    let sample = reader(json!({})).sample(5).unwrap();
    let good = request(&sample, Side::Foreground, "No pneumothorax", 0);
    let refused = |change: &dyn Fn(&mut EditRequest), words: &str| {
        let mut request = good.clone();
        change(&mut request);
        let error = editor(json!({})).edit(&request).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    };
    refused(&|r| r.sample = None, "which sample");
    refused(
        &|r| r.sample.as_mut().unwrap().dataset = "vindr_cxr".to_owned(),
        "no phantom of this editor",
    );
    refused(
        &|r| r.sample.as_mut().unwrap().index = 1000,
        "the parameters of the dataset",
    );
    refused(
        &|r| r.sample.as_mut().unwrap().index = 6,
        "not that of phantom 6",
    );
    refused(&|r| r.prompt = "No crackles".to_owned(), "no `crackles`");
    let smaller = GrayImage::from_array(letterbox(sample.image.view(), 100)).unwrap();
    refused(
        &|r| r.image = GrayImage::from_array(smaller.view().mapv(|p| p / 2)).unwrap(),
        "not that of phantom 5",
    );
    // The same patient, asked about another finding, and so with another.
    let shifted = editor(json!({"offset": 5})).edit(&good);
    let error = shifted.unwrap_err().to_string();
    assert!(error.contains("not that of phantom 0"), "{error}");
}
