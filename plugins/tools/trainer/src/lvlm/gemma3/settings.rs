//! The files beside the weights, as Gemma 3 has them.

use anyhow::Result;
use serde_json::{Value, json};

use super::Special;
use crate::checkpoint::Staging;
use crate::lvlm::architecture::{IMAGE_SIDE, IMAGE_TOKENS};

const CHAT_TEMPLATE: &str = include_str!("chat_template.jinja");
const MODEL_CARD: &str = include_str!("model_card.md");

/// Writes what Gemma 3 has beside configuration, tokenizer and weights.
pub fn write(staging: &Staging) -> Result<()> {
    staging.write_json("tokenizer_config.json", &tokenizer_config())?;
    staging.write_json("preprocessor_config.json", &preprocessor_config())?;
    staging.write_json(
        "processor_config.json",
        &json!({"image_seq_length": IMAGE_TOKENS, "processor_class": "Gemma3Processor"}),
    )?;
    staging.write_json(
        "generation_config.json",
        &json!({
            "bos_token_id": Special::Bos.id(),
            "eos_token_id": [Special::Eos.id(), Special::EndTurn.id()],
            "pad_token_id": Special::Pad.id(),
            "do_sample": false,
        }),
    )?;
    staging.write("chat_template.jinja", CHAT_TEMPLATE.as_bytes())?;
    staging.write("README.md", MODEL_CARD.as_bytes())
}

fn tokenizer_config() -> Value {
    json!({
        "tokenizer_class": "GemmaTokenizerFast",
        "processor_class": "Gemma3Processor",
        "add_bos_token": true,
        "add_eos_token": false,
        "bos_token": Special::Bos.text(),
        "eos_token": Special::Eos.text(),
        "pad_token": Special::Pad.text(),
        "unk_token": Special::Unknown.text(),
        "boi_token": Special::BeginImage.text(),
        "eoi_token": Special::EndImage.text(),
        "image_token": Special::Image.text(),
        "extra_special_tokens": {
            "boi_token": Special::BeginImage.text(),
            "eoi_token": Special::EndImage.text(),
            "image_token": Special::Image.text(),
        },
        "clean_up_tokenization_spaces": false,
        "model_max_length": 2048,
    })
}

fn preprocessor_config() -> Value {
    json!({
        "image_processor_type": "Gemma3ImageProcessor",
        "processor_class": "Gemma3Processor",
        "do_convert_rgb": true,
        "do_resize": true,
        "size": {"height": IMAGE_SIDE, "width": IMAGE_SIDE},
        "resample": 2,
        "do_rescale": true,
        "rescale_factor": 1.0 / 255.0,
        "do_normalize": true,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "do_pan_and_scan": null,
        "image_seq_length": IMAGE_TOKENS,
    })
}
