//! Images to pixels, exact to the last bit.

mod common;

use common::{Fixture, IMAGES, largest_difference};
use medfocus_vision_owlvit::processor::Processor;
use ndarray::Array2;

fn refusal(text: &str) -> String {
    Processor::parse(text, 768).unwrap_err().to_string()
}

#[test]
fn pixels_are_those_of_the_reference() {
    for fixture in Fixture::all() {
        let processor = fixture.processor();
        for index in 0..IMAGES {
            let expected = fixture.tensor(&format!("pixels.{index}"));
            let pixels = processor.pixels(fixture.image(index).view()).unwrap();
            // Some fixtures hold one channel.
            let channels = expected.size()[0];
            let difference = largest_difference(&pixels.narrow(0, 0, channels), expected);
            assert_eq!(difference, 0.0, "{} image {index}", fixture.name);
        }
    }
}

#[test]
fn a_file_without_keys_takes_the_class_defaults() {
    let white = Array2::from_elem((10, 20), 255);
    let pixels = Processor::parse("{}", 768)
        .unwrap()
        .pixels(white.view())
        .unwrap();
    assert_eq!(pixels.size(), [3, 768, 768]);
    let blue = pixels.double_value(&[2, 700, 3]);
    assert!(
        (blue - (1.0 - 0.408_210_73) / 0.275_777_11).abs() < 1e-6,
        "{blue}"
    );
}

#[test]
fn every_spelling_is_the_same_processor() {
    let default = Processor::parse("{}", 768).unwrap();
    for text in [
        r#"{"feature_extractor_type": "OwlViTFeatureExtractor", "size": [768, 768], "rescale": true}"#,
        r#"{"image_processor_type": "OwlViTFeatureExtractor", "size": 768, "crop_size": 768}"#,
        r#"{"image_processor_type": "OwlViTImageProcessor", "size": {"height": 768, "width": 768}}"#,
        r#"{"image_processor": {"image_processor_type": "OwlViTImageProcessor"}}"#,
    ] {
        assert_eq!(Processor::parse(text, 768).unwrap(), default, "{text}");
    }
}

#[test]
fn what_cannot_be_followed_is_refused_by_name() {
    for (text, named) in [
        (
            r#"{"image_processor_type": "OwlViTImageProcessorFast"}"#,
            "Fast",
        ),
        (
            r#"{"feature_extractor_type": "CLIPFeatureExtractor"}"#,
            "CLIPFeatureExtractor",
        ),
        (r#"{"do_center_crop": true}"#, "do_center_crop"),
        (r#"{"do_resize": false}"#, "do_resize"),
        (r#"{"rescale": false}"#, "rescale"),
        (r#"{"size": {"height": 768, "width": 700}}"#, "768 x 700"),
        (r#"{"resample": 1}"#, "resample 1"),
        ("7", "not usable"),
        ("{", "not usable"),
    ] {
        let error = refusal(text);
        assert!(
            error.contains(named) && !error.contains('\n'),
            "{text}: {error}"
        );
    }
}
