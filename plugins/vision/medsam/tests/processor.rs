//! Images to pixels, exact to the last bit, and boxes to corners.

mod common;

use common::{Fixture, IMAGES, largest_difference};
use medfocus_plugin_api::BBox;
use medfocus_torch::tch::Tensor;
use medfocus_vision_medsam::processor::Processor;
use ndarray::Array2;

/// MedSAM's own file.
const MEDSAM: &str = r#"{
  "do_convert_rgb": true, "do_normalize": false, "do_pad": true, "do_rescale": true, "do_resize": true,
  "image_mean": [0.0, 0.0, 0.0], "image_processor_type": "SamImageProcessor", "image_std": [1.0, 1.0, 1.0],
  "pad_size": {"height": 1024, "width": 1024}, "processor_class": "SamProcessor", "resample": 3,
  "rescale_factor": 0.00392156862745098, "size": {"longest_edge": 1024}
}"#;

fn refusal(text: &str) -> String {
    Processor::parse(text, 1024).unwrap_err().to_string()
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
fn corners_are_those_of_the_reference() {
    for fixture in Fixture::all() {
        let processor = fixture.processor();
        for index in 0..IMAGES {
            let (height, width) = fixture.image(index).view().dim();
            let corners: Vec<f64> = fixture
                .boxes(index)
                .iter()
                .flat_map(|bbox| processor.corners(bbox, height, width).unwrap())
                .collect();
            let expected = fixture.tensor(&format!("corners.{index}"));
            let found = Tensor::from_slice(&corners).reshape([-1, 4]);
            assert_eq!(
                largest_difference(&found, expected),
                0.0,
                "{}",
                fixture.name
            );
        }
    }
}

#[test]
fn a_box_ends_at_the_last_pixel_and_is_nothing_beyond() {
    let processor = Processor::parse(MEDSAM, 1024).unwrap();
    let corners =
        |b: [u32; 4]| processor.corners(&BBox::new(b[0], b[1], b[2], b[3]).unwrap(), 224, 224);
    let last = 223.0 * (1024.0 / 224.0);
    assert_eq!(corners([0, 0, 224, 224]), Some([0.0, 0.0, last, last]));
    assert_eq!(corners([0, 0, 900, 223]), Some([0.0, 0.0, last, last]));
    assert_eq!(corners([223, 223, 224, 224]), Some([last; 4]));
    assert_eq!(corners([224, 0, 230, 5]), None);
    assert_eq!(corners([0, 224, 5, 230]), None);
}

#[test]
fn sizes_round_halves_up_and_never_vanish() {
    let processor = Processor::parse(MEDSAM, 1024).unwrap();
    assert_eq!(processor.scaled(224, 224), (1024, 1024));
    // 1024 * 1 / 2048 = 0.5 and 1024 * 5 / 2048 = 2.5.
    assert_eq!(processor.scaled(2048, 1), (1024, 1));
    assert_eq!(processor.scaled(5, 2048), (3, 1024));
    assert_eq!(processor.scaled(9000, 1), (1024, 1));
}

#[test]
fn medsam_neither_normalises_nor_is_the_class_default() {
    let white = Array2::from_elem((10, 20), 255);
    let medsam = Processor::parse(MEDSAM, 1024).unwrap();
    let pixels = medsam.pixels(white.view()).unwrap();
    assert_eq!(pixels.size(), [3, 1024, 1024]);
    assert_eq!(pixels.narrow(1, 0, 512).min().double_value(&[]), 1.0);
    assert_eq!(
        pixels.narrow(1, 512, 512).abs().max().double_value(&[]),
        0.0
    );

    let default = Processor::parse("{}", 1024).unwrap();
    let pixels = default.pixels(white.view()).unwrap();
    let first = pixels.double_value(&[0, 0, 0]);
    assert!((first - (1.0 - 0.485) / 0.229).abs() < 1e-6, "{first}");
    // Padding comes after normalisation.
    assert_eq!(pixels.double_value(&[0, 1023, 0]), 0.0);
}

#[test]
fn newer_files_keep_the_settings_one_level_down() {
    let nested = format!(r#"{{"processor_class": "SamProcessor", "image_processor": {MEDSAM}}}"#);
    assert!(Processor::parse(&nested, 1024).is_ok());
}

#[test]
fn what_cannot_be_followed_is_refused_by_name() {
    let changed = |from: &str, to: &str| {
        assert!(MEDSAM.contains(from));
        refusal(&MEDSAM.replace(from, to))
    };
    assert!(changed("\"SamImageProcessor\"", "\"SamImageProcessorFast\"").contains("Fast"));
    assert!(changed("\"do_pad\": true", "\"do_pad\": false").contains("do_pad"));
    assert!(changed("\"do_resize\": true", "\"do_resize\": false").contains("do_resize"));
    assert!(changed("\"longest_edge\": 1024", "\"longest_edge\": 512").contains("512"));
    assert!(changed("\"height\": 1024", "\"height\": 1000").contains("1000"));
    assert!(changed("\"resample\": 3", "\"resample\": 1").contains("resample 1"));
    assert!(refusal("7").contains("not usable"));
    assert!(refusal("{").contains("not usable"));
}
