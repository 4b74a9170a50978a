//! The files beside the weights, as Qwen2.5-VL has them.

use anyhow::Result;
use serde_json::json;

use super::{END_OF_TEXT, END_OF_TURN};
use crate::checkpoint::Staging;
use crate::lvlm::architecture::{IMAGE_SIDE, PATCH_SIDE};

const CHAT_TEMPLATE: &str = include_str!("chat_template.jinja");
const MODEL_CARD: &str = include_str!("model_card.md");

/// Writes what Qwen2.5-VL has beside configuration, tokenizer and weights.
pub fn write(staging: &Staging) -> Result<()> {
    staging.write_json(
        "tokenizer_config.json",
        &json!({
            "tokenizer_class": "Qwen2TokenizerFast",
            "processor_class": "Qwen2_5_VLProcessor",
            "add_bos_token": false,
            "bos_token": null,
            "eos_token": "<|im_end|>",
            "pad_token": "<|endoftext|>",
            "unk_token": null,
            "clean_up_tokenization_spaces": false,
            "model_max_length": 2048,
        }),
    )?;
    // The working image is halved, as the other small network's is.
    staging.write_json(
        "preprocessor_config.json",
        &json!({
            "image_processor_type": "Qwen2VLImageProcessor",
            "processor_class": "Qwen2_5_VLProcessor",
            "min_pixels": IMAGE_SIDE * IMAGE_SIDE / 4,
            "max_pixels": IMAGE_SIDE * IMAGE_SIDE,
            "patch_size": PATCH_SIDE,
            "temporal_patch_size": 2,
            "merge_size": 2,
            "resample": 2,
            "image_mean": [0.5, 0.5, 0.5],
            "image_std": [0.5, 0.5, 0.5],
        }),
    )?;
    staging.write_json(
        "generation_config.json",
        &json!({
            "eos_token_id": [END_OF_TURN, END_OF_TEXT],
            "pad_token_id": END_OF_TEXT,
            "do_sample": false,
        }),
    )?;
    staging.write("chat_template.jinja", CHAT_TEMPLATE.as_bytes())?;
    staging.write("README.md", MODEL_CARD.as_bytes())
}
