//! The checkpoint folder, in the layout of the Hugging Face hub.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use medfocus_torch::tch::{Kind, Tensor};
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};

use crate::architecture::{IMAGE_SIDE, IMAGE_TOKENS};
use crate::tokenizer::Special;

/// The file that tells how the checkpoint was made.
pub const RECORD: &str = "TRAINING.json";

const CHAT_TEMPLATE: &str = include_str!("chat_template.jinja");
const MODEL_CARD: &str = include_str!("model_card.md");

/// A folder beside the final one, renamed into its place when complete.
pub struct Staging {
    folder: PathBuf,
    target: PathBuf,
}

impl Staging {
    /// An empty folder for what will become `target`.
    pub fn new(target: &Path) -> Result<Staging> {
        let name = target
            .file_name()
            .context("the output folder has no name")?;
        let folder = target.with_file_name(format!("{}.partial", name.to_string_lossy()));
        if folder.exists() {
            fs::remove_dir_all(&folder)
                .with_context(|| format!("{} cannot be emptied", folder.display()))?;
        }
        fs::create_dir_all(&folder)
            .with_context(|| format!("{} cannot be created", folder.display()))?;
        Ok(Staging {
            folder,
            target: target.to_owned(),
        })
    }

    /// Where the files are now.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes everything but the weights.
    pub fn write_settings(&self, config: &Value, tokenizer: &Value) -> Result<()> {
        self.write_json("config.json", config)?;
        self.write_json("tokenizer.json", tokenizer)?;
        self.write_json("tokenizer_config.json", &tokenizer_config())?;
        self.write_json("preprocessor_config.json", &preprocessor_config())?;
        self.write_json(
            "processor_config.json",
            &json!({"image_seq_length": IMAGE_TOKENS, "processor_class": "Gemma3Processor"}),
        )?;
        self.write_json(
            "generation_config.json",
            &json!({
                "bos_token_id": Special::Bos.id(),
                "eos_token_id": [Special::Eos.id(), Special::EndTurn.id()],
                "pad_token_id": Special::Pad.id(),
                "do_sample": false,
            }),
        )?;
        self.write("chat_template.jinja", CHAT_TEMPLATE.as_bytes())?;
        self.write("README.md", MODEL_CARD.as_bytes())
    }

    /// Writes the weights as f32.
    pub fn write_weights(&self, tensors: &BTreeMap<String, Tensor>) -> Result<()> {
        let mut bytes = Vec::new();
        for (name, tensor) in tensors {
            let values = Vec::<f32>::try_from(tensor.to_kind(Kind::Float).flatten(0, -1))?;
            let shape: Vec<usize> = tensor.size().iter().map(|&side| side as usize).collect();
            let data: Vec<u8> = values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect();
            bytes.push((name, shape, data));
        }
        let views = bytes
            .iter()
            .map(|(name, shape, data)| {
                Ok((
                    name.as_str(),
                    TensorView::new(Dtype::F32, shape.clone(), data)?,
                ))
            })
            .collect::<Result<Vec<_>>>()?;
        let metadata = [("format".to_owned(), "pt".to_owned())].into();
        self.write(
            "model.safetensors",
            &safetensors::serialize(views, Some(metadata))?,
        )
    }

    /// Writes a JSON file.
    pub fn write_json(&self, name: &str, value: &Value) -> Result<()> {
        write_json(&self.folder, name, value)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        write(&self.folder.join(name), bytes)
    }

    /// Puts the complete folder in its place.
    pub fn publish(self) -> Result<()> {
        if self.target.exists() {
            fs::remove_dir_all(&self.target)
                .with_context(|| format!("{} cannot be replaced", self.target.display()))?;
        }
        fs::rename(&self.folder, &self.target)
            .with_context(|| format!("{} cannot be put in place", self.target.display()))
    }
}

/// Writes or replaces a JSON file in a folder.
pub fn write_json(folder: &Path, name: &str, value: &Value) -> Result<()> {
    let partial = folder.join(format!("{name}.partial"));
    write(&partial, format!("{value:#}\n").as_bytes())?;
    let path = folder.join(name);
    fs::rename(partial, &path).with_context(|| format!("{} cannot be put in place", path.display()))
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| format!("{} cannot be written", path.display()))
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
    use crate::{architecture, corpus, tokenizer};
    use medfocus_model_gemma3::config::Config;
    use medfocus_model_gemma3::prompt::Prompter;

    #[test]
    fn the_prompt_is_gemmas() {
        let parent = tempfile::tempdir().unwrap();
        let staging = Staging::new(&parent.path().join("checkpoint")).unwrap();
        let tokens = tokenizer::train(&corpus::all_texts()).unwrap();
        let settings = architecture::config(tokenizer::size(&tokens).unwrap());
        staging.write_settings(&settings, &tokens).unwrap();
        let config = Config::parse(&settings.to_string()).unwrap();
        let prompter = Prompter::from_folder(staging.folder(), &config).unwrap();

        let ids = prompter
            .question(" Is there evidence of pneumothorax in the image? ")
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

    #[test]
    fn a_folder_appears_only_when_complete() {
        let parent = tempfile::tempdir().unwrap();
        let target = parent.path().join("checkpoint");
        let staging = Staging::new(&target).unwrap();
        staging.write_json(RECORD, &json!({"stages": []})).unwrap();
        assert!(!target.exists());
        staging.publish().unwrap();
        assert!(target.join(RECORD).is_file());
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 1);
    }
}
