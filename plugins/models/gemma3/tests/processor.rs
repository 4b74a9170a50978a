//! Images to pixels: exact to the last bit, in both published arithmetics.

use medfocus_lvlm::network::Pixels;
use medfocus_lvlm_parity::fixture::largest_difference;
use medfocus_model_gemma3::processor::Processor;
use ndarray::Array2;

const HUB: &str = r#"{
  "do_convert_rgb": null, "do_normalize": true, "do_pan_and_scan": null, "do_rescale": true, "do_resize": true,
  "image_mean": [0.5, 0.5, 0.5], "image_processor_type": "Gemma3ImageProcessor", "image_seq_length": 256,
  "image_std": [0.5, 0.5, 0.5], "processor_class": "Gemma3Processor", "resample": 2,
  "rescale_factor": 0.00392156862745098, "size": {"height": 896, "width": 896}
}"#;

fn refusal(text: &str) -> String {
    Processor::parse(text, 896).unwrap_err().to_string()
}

#[test]
fn a_file_without_keys_takes_the_class_defaults() {
    let default = Processor::parse("{}", 224).unwrap();
    let white = Array2::from_elem((10, 30), 255);
    let pixels = default.pixels(white.view()).unwrap();
    assert_eq!(pixels.size(), [3, 224, 224]);
    assert_eq!(pixels.min().double_value(&[]), 1.0);
    let black = default.pixels(Array2::zeros((224, 224)).view()).unwrap();
    assert_eq!(black.max().double_value(&[]), -1.0);
}

#[test]
fn the_processors_differ_by_less_than_a_bf16_step() {
    let slow = Processor::parse(HUB, 896).unwrap();
    let fast = Processor::parse(
        &HUB.replace("Gemma3ImageProcessor\"", "Gemma3ImageProcessorFast\""),
        896,
    )
    .unwrap();
    let levels = Array2::from_shape_fn((896, 896), |(y, x)| ((y * 7 + x) % 256) as u8);
    let difference = largest_difference(
        &slow.pixels(levels.view()).unwrap(),
        &fast.pixels(levels.view()).unwrap(),
    );
    assert!(difference > 0.0 && difference <= 2.4e-7, "{difference:e}");
}

#[test]
fn newer_files_keep_the_settings_one_level_down() {
    let nested = format!(r#"{{"processor_class": "Gemma3Processor", "image_processor": {HUB}}}"#);
    let fast = HUB.replace("Gemma3ImageProcessor\"", "Gemma3ImageProcessorFast\"");
    let read = |text: &str| Processor::parse(text, 896).unwrap();
    // Only transformers 5 writes and reads them, and there this name means torchvision.
    assert_eq!(read(&nested), read(&fast));
    let pillow = nested.replace("Gemma3ImageProcessor\"", "Gemma3ImageProcessorPil\"");
    assert_eq!(read(&pillow), read(HUB));
}

#[test]
fn what_cannot_be_followed_is_refused_by_name() {
    assert!(
        refusal(&HUB.replace("Gemma3ImageProcessor", "SamImageProcessor"))
            .contains("SamImageProcessor")
    );
    assert!(
        refusal(&HUB.replace("\"do_pan_and_scan\": null", "\"do_pan_and_scan\": true"))
            .contains("do_pan_and_scan")
    );
    assert!(refusal(&HUB.replace("\"height\": 896", "\"height\": 448")).contains("448 x 896"));
    assert!(refusal(&HUB.replace("\"resample\": 2", "\"resample\": 1")).contains("resample 1"));
    let unresized = Processor::parse(
        &HUB.replace("\"do_resize\": true", "\"do_resize\": false"),
        896,
    )
    .unwrap();
    let error = unresized
        .pixels(Array2::zeros((5, 6)).view())
        .unwrap_err()
        .to_string();
    assert!(error.contains("not 6 x 5"), "{error}");
}

#[test]
fn transformers_5_names_the_same_processor_otherwise() {
    let renamed = HUB.replace("\"Gemma3ImageProcessor\"", "\"Gemma3ImageProcessorPil\"");
    let (old, new) = (Processor::parse(HUB, 896), Processor::parse(&renamed, 896));
    assert_eq!(old.unwrap(), new.unwrap());
}
