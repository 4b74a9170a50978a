//! A checkpoint ready to answer: network, processor, tokenizer and settings in one value.

use std::path::Path;

use medfocus_plugin_api::GrayImage;
use medfocus_torch::tch::{Device, Kind, Tensor};
use serde::Deserialize;

use crate::config::{Config, Ids};
use crate::memory::Batch;
use crate::processor::Processor;
use crate::prompt::Prompter;
use crate::{Error, Gemma3, Result};

/// Called between the steps of long work with the steps done and their total; an error stops it.
pub type Watch<'a> = dyn Fn(usize, usize) -> Result<()> + 'a;

/// A checkpoint ready to answer.
#[derive(Debug)]
pub struct Backend {
    pub(crate) model: Gemma3,
    pub(crate) processor: Processor,
    pub(crate) prompter: Prompter,
    pub(crate) eos: Vec<i64>,
    pub(crate) batch: Batch,
}

impl Backend {
    /// Loads a Hugging Face checkpoint folder. At most `batch` images go through the network at once.
    pub fn from_folder(
        folder: &Path,
        device: Device,
        kind: Kind,
        batch: impl Into<Batch>,
    ) -> Result<Self> {
        let model = Gemma3::from_folder(folder, device, kind)?;
        Self::with_model(model, folder, batch)
    }

    /// The same around a network that is already there; the folder gives tokenizer and processor.
    pub fn with_model(model: Gemma3, folder: &Path, batch: impl Into<Batch>) -> Result<Self> {
        let config = model.config();
        Ok(Self {
            processor: Processor::from_folder(folder, config.vision.image_size)?,
            prompter: Prompter::from_folder(folder, config)?,
            eos: end_tokens(folder, config)?,
            batch: batch.into(),
            model,
        })
    }

    /// The network.
    pub fn model(&self) -> &Gemma3 {
        &self.model
    }

    /// What turns questions and answers into tokens.
    pub fn prompter(&self) -> &Prompter {
        &self.prompter
    }

    /// What turns images into pixels.
    pub fn processor(&self) -> &Processor {
        &self.processor
    }

    /// Tokens that end a generation.
    pub fn end_tokens(&self) -> &[i64] {
        &self.eos
    }

    /// Replaces the tokens that end a generation.
    pub fn set_end_tokens(&mut self, eos: Vec<i64>) {
        self.eos = eos;
    }

    /// Normalised pixels `[images, 3, side, side]`, as the network sees them: on its device, in its format.
    pub(crate) fn pixels(&self, images: &[&GrayImage]) -> Result<Tensor> {
        let each = images
            .iter()
            .map(|image| self.processor.pixels(image.view()))
            .collect::<Result<Vec<_>>>()?;
        let kind = self.model.decoder().kind()?;
        Ok(Tensor::f_stack(&each, 0)?
            .f_to_device(self.model.device())?
            .f_to_kind(kind)?)
    }
}

/// The end tokens of `generation_config.json`, or of `config.json` where it names none.
fn end_tokens(folder: &Path, config: &Config) -> Result<Vec<i64>> {
    #[derive(Deserialize)]
    struct Generation {
        eos_token_id: Option<Ids>,
    }
    let path = folder.join("generation_config.json");
    let text = match std::fs::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(config.eos.clone());
        }
        other => other,
    };
    let wrong = |reason: String| Error::File {
        path: path.clone(),
        reason,
    };
    let text = text.map_err(|error| wrong(format!("cannot be read ({error})")))?;
    let parsed: Generation =
        serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    Ok(parsed
        .eos_token_id
        .map_or_else(|| config.eos.clone(), Ids::into_vec))
}
