//! The editor as a method meets it.

use medfocus_editor_inpaint::Inpaint;
use medfocus_phantom::{CaseOptions, Finding, render, sample_case};
use medfocus_plugin_api::{
    BBox, CounterfactualEditor, EditRequest, GrayImage, Mask, Native, protocol::editor::Side,
    testkit::LocalHost,
};
use ndarray::Array2;
use serde_json::json;

fn inpaint() -> Inpaint {
    LocalHost::new().create(json!({})).unwrap()
}

fn bbox(x1: u32, y1: u32, x2: u32, y2: u32) -> BBox<Native> {
    BBox::new(x1, y1, x2, y2).unwrap()
}

/// A ramp to the right, with a white square where x and y are in 20..30.
fn request() -> EditRequest {
    let pixels = Array2::from_shape_fn((50, 60), |(y, x)| {
        let square = (20..30).contains(&y) && (20..30).contains(&x);
        if square { 255 } else { 3 * x as u8 }
    });
    EditRequest::new(
        GrayImage::from_array(pixels).unwrap(),
        vec![bbox(20, 20, 30, 30)],
        "No nodule",
    )
}

fn edited(request: &EditRequest) -> Array2<u8> {
    inpaint().edit(request).unwrap().view().to_owned()
}

#[test]
fn the_foreground_is_filled_from_outside() {
    let ramp = Array2::from_shape_fn((50, 60), |(_, x)| 3 * x as u8);
    assert_eq!(edited(&request()), ramp);
    // Neither words nor seed count, nor what of a box is outside.
    let mut other = request();
    other.boxes = vec![
        bbox(20, 20, 30, 25),
        bbox(15, 25, 31, 30),
        bbox(90, 90, 99, 99),
    ];
    other.prompt = String::new();
    other.seed = 7;
    assert_eq!(edited(&other), ramp);
}

#[test]
fn the_background_is_filled_from_inside() {
    let mut request = request();
    request.side = Side::Background;
    assert_eq!(edited(&request), Array2::from_elem((50, 60), 255));
}

#[test]
fn a_mask_comes_before_the_boxes() {
    let mut inside = Array2::from_elem((50, 60), false);
    inside[(24, 24)] = true;
    let mut request = request();
    request.mask = Some(Mask::from_array(inside.view()).unwrap());
    assert_eq!(edited(&request), request.image.view());
    let mut request = request;
    request.mask = Some(Mask::from_array(inside.t()).unwrap());
    let error = inpaint().edit(&request).unwrap_err();
    assert!(error.message.contains("50 x 60"), "{error}");
}

#[test]
fn nothing_to_edit_changes_nothing_and_everything_is_refused() {
    let mut nothing = request();
    nothing.boxes = vec![bbox(60, 0, 61, 1)];
    assert_eq!(edited(&nothing), nothing.image.view());
    let mut everything = nothing;
    everything.side = Side::Background;
    let error = inpaint().edit(&everything).unwrap_err();
    assert!(error.message.contains("whole image"), "{error}");
}

/// With its mask filled, a patient is nearer to the same patient without the finding. Not so where the mask also holds
/// an organ, which goes with it.
#[test]
fn what_lies_over_the_anatomy_disappears() {
    let organs = [Finding::Cardiomegaly, Finding::MediastinalWidening];
    let mut tried = 0;
    for seed in 0..60 {
        let case = sample_case(seed, &CaseOptions::default());
        let without = render(&case.patient, &[], 224, 224).image;
        for finding in &case.findings {
            let with = render(&case.patient, std::slice::from_ref(finding), 224, 224);
            let mask = with.finding_mask(0).unwrap();
            let mut request = request();
            request.image = GrayImage::from_array(with.image.clone()).unwrap();
            request.mask = Some(Mask::from_array(mask.view()).unwrap());
            let filled = edited(&request);
            let differences = |image: &Array2<u8>| -> u32 {
                let pairs = image.iter().zip(&without);
                pairs.map(|(a, b)| u32::from(a.abs_diff(*b))).sum()
            };
            if !organs.contains(&finding.finding) {
                let (before, after) = (differences(&with.image), differences(&filled));
                assert!(
                    after < before,
                    "{} of {seed}: {before} {after}",
                    finding.finding.name()
                );
                tried += 1;
            }
        }
    }
    assert!(tried > 40, "{tried}");
}
