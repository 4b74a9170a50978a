//! At which size an image is seen, and what is refused. That pixels are the reference's is said in `parity.rs`.

use medfocus_lvlm::network::Pixels;
use medfocus_lvlm_parity::fixture::largest_difference;
use medfocus_model_qwen2_5_vl::config::VisionConfig;
use medfocus_model_qwen2_5_vl::processor::Processor;
use ndarray::Array2;
use proptest::prelude::*;

/// As the released checkpoints have it.
const HUB: &str = r#"{
  "min_pixels": 3136, "max_pixels": 12845056, "patch_size": 14, "temporal_patch_size": 2, "merge_size": 2,
  "image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711],
  "image_processor_type": "Qwen2VLImageProcessor", "processor_class": "Qwen2_5_VLProcessor"
}"#;

fn processor(text: &str) -> Processor {
    Processor::parse(text, &VisionConfig::default()).unwrap()
}

fn refusal(text: &str) -> String {
    let refused = Processor::parse(text, &VisionConfig::default());
    refused.unwrap_err().to_string()
}

/// Computed by `smart_resize` of transformers 4.57.3.
#[test]
fn sides_are_the_nearest_multiples_of_an_image_token() {
    let hub = processor(HUB);
    for (height, width, expected) in [
        (224, 224, (224, 224)),
        (512, 512, (504, 504)),
        (3000, 2500, (2996, 2492)),
        // Halves go to the even multiple.
        (98, 98, (112, 112)),
        (70, 126, (56, 112)),
        (126, 70, (112, 56)),
        // Too many pixels, too few.
        (4000, 5000, (3192, 4004)),
        (20, 30, (56, 84)),
        (10, 1000, (28, 560)),
    ] {
        let found = hub.size(height, width).unwrap();
        assert_eq!(found, expected, "{height} x {width}");
    }
    let error = hub.size(10, 2010).unwrap_err().to_string();
    assert!(error.contains("200 times"), "{error}");
}

#[test]
fn a_file_without_limits_takes_those_of_the_class() {
    let default = processor("{}");
    assert_eq!(default.size(3000, 2500).unwrap(), (1092, 896));
    let named = processor(r#"{"size": {"shortest_edge": 3136, "longest_edge": 12845056}}"#);
    assert_eq!(named, processor(HUB));
    // The older keys win where a file has both.
    let both = HUB.replacen(
        '{',
        r#"{"size": {"shortest_edge": 1, "longest_edge": 2},"#,
        1,
    );
    assert_eq!(processor(&both), processor(HUB));
}

#[test]
fn newer_files_keep_the_settings_one_level_down() {
    let nested = format!(r#"{{"image_processor": {HUB}}}"#);
    assert_eq!(processor(&nested), processor(HUB));
}

#[test]
fn pillow_is_followed_where_the_file_says_so() {
    let pillow = HUB.replace("Qwen2VLImageProcessor\"", "Qwen2VLImageProcessorPil\"");
    let levels = Array2::from_shape_fn((56, 84), |(y, x)| ((y * 7 + x) % 256) as u8);
    let [one, other] = [HUB, &pillow].map(|text| processor(text).pixels(levels.view()).unwrap());
    let difference = largest_difference(&one, &other);
    assert!(difference > 0.0 && difference < 1e-6, "{difference:e}");
}

#[test]
fn an_image_that_is_not_resized_must_fit() {
    let fixed = processor(&HUB.replacen('{', r#"{"do_resize": false,"#, 1));
    assert_eq!(fixed.size(28, 84).unwrap(), (28, 84));
    let error = fixed.size(28, 85).unwrap_err().to_string();
    assert!(error.contains("multiples of 28"), "{error}");
}

#[test]
fn what_cannot_be_followed_is_refused_by_name() {
    let named = HUB.replace("Qwen2VLImageProcessor", "SamImageProcessor");
    assert!(refusal(&named).contains("SamImageProcessor"));
    assert!(refusal(&HUB.replace("\"merge_size\": 2", "\"merge_size\": 4")).contains("[14, 2, 4]"));
    assert!(refusal(&HUB.replace("3136", "0")).contains("at least 0"));
    assert!(refusal(&HUB.replacen('{', r#"{"resample": 1,"#, 1)).contains("resample 1"));
}

proptest! {
    #[test]
    fn every_size_is_whole_image_tokens_within_the_limits(height in 1usize..4000, width in 1usize..4000) {
        prop_assume!(height.max(width) <= 200 * height.min(width));
        let (rows, columns) = processor(HUB).size(height, width).unwrap();
        prop_assert!(rows > 0 && columns > 0 && rows % 28 == 0 && columns % 28 == 0);
        // A long thin image keeps one token across, and may then have more pixels than it should.
        prop_assert!(rows * columns >= 3136 && (rows * columns <= 12_845_056 || rows.min(columns) == 28));
    }
}
