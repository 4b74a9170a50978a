//! The files beside the weights, as Gemma 3 has them.

use anyhow::Result;
use serde_json::{Value, json};

use super::architecture::{IMAGE_SIDE, IMAGE_TOKENS};
use super::tokenizer::Special;
use crate::checkpoint::Staging;

const CHAT_TEMPLATE: &str = include_str!("chat_template.jinja");
const MODEL_CARD: &str = include_str!("model_card.md");

/// Writes everything but the weights.
pub fn write(staging: &Staging, config: &Value, tokenizer: &Value) -> Result<()> {
    staging.write_json("config.json", config)?;
    staging.write_json("tokenizer.json", tokenizer)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gemma3::{architecture, corpus, tokenizer};
    use medfocus_lvlm::prompt::Prompter;
    use medfocus_model_gemma3::Family;
    use medfocus_model_gemma3::config::Config;

    #[test]
    fn the_prompt_is_gemmas() {
        let parent = tempfile::tempdir().unwrap();
        let staging = Staging::new(&parent.path().join("checkpoint")).unwrap();
        let tokens = tokenizer::train(&corpus::all_texts()).unwrap();
        let settings = architecture::config(tokenizer::size(&tokens).unwrap());
        write(&staging, &settings, &tokens).unwrap();
        let config = Config::parse(&settings.to_string()).unwrap();
        let prompter = Prompter::from_folder::<Family>(staging.folder(), &config).unwrap();

        let ids = prompter
            .question(
                " Is there evidence of pneumothorax in the image? ",
                config.grid().tokens(),
            )
            .unwrap();
        let texts: Vec<String> = prompter
            .describe(&ids)
            .into_iter()
            .map(|token| token.text)
            .collect();
        let end = texts
            .iter()
            .position(|text| text == "<end_of_image>")
            .unwrap();
        let image = end - 1 - IMAGE_TOKENS;
        assert_eq!(texts[image - 1..=image], ["\n\n\n", "<start_of_image>"]);
        assert!(
            texts[image + 1..end]
                .iter()
                .all(|text| text == "<image_soft_token>")
        );
        assert_eq!(texts[..image - 1].concat(), "<bos><start_of_turn>user");
        assert_eq!(texts[end + 1..end + 3], ["\n\n", "Is"]);
        let question = "Is there evidence of pneumothorax in the image?";
        let turns = format!("\n\n{question}<end_of_turn>\n<start_of_turn>model\n");
        assert_eq!(texts[end + 1..].concat(), turns);
    }
}
