//! A checkpoint ready to answer: network, processor, tokenizer and settings in one value.

use std::fmt;
use std::path::Path;

use medfocus_plugin_api::{AnswerSpan, GrayImage, file};
use medfocus_torch::tch::{Device, Kind, Tensor};
use medfocus_torch::weights::Weights;
use serde::Deserialize;

use crate::memory::Batch;
use crate::network::{Family, Grid, Network, Pixels};
use crate::prompt::{Answered, Prompter};
use crate::{Error, Result};

/// Called between the steps of long work with the steps done and their total; an error stops it.
pub type Watch<'a> = dyn Fn(usize, usize) -> Result<()> + 'a;

/// A checkpoint ready to answer.
pub struct Backend<F: Family> {
    pub(crate) network: F::Network,
    pub(crate) processor: Box<dyn Pixels>,
    pub(crate) prompter: Prompter,
    pub(crate) eos: Vec<i64>,
    pub(crate) batch: Batch,
}

impl<F: Family> Backend<F> {
    /// Loads a Hugging Face checkpoint folder. At most `batch` images go through the network at once.
    pub fn from_folder(
        folder: &Path,
        device: Device,
        kind: Kind,
        batch: impl Into<Batch>,
    ) -> Result<Self> {
        let config = F::config(folder)?;
        let network = F::network(&config, &Weights::open(folder, device, kind)?)?;
        Self::with_network(network, &config, folder, batch)
    }

    /// The same around a network that is already there; the folder gives tokenizer and processor.
    pub fn with_network(
        network: F::Network,
        config: &F::Config,
        folder: &Path,
        batch: impl Into<Batch>,
    ) -> Result<Self> {
        let prompter = Prompter::from_folder::<F>(folder, config)?;
        let eos = end_tokens(folder, F::end_tokens(config))?;
        if let Ok(closing) = prompter.closing(F::facts(config).grid.tokens())
            && !closing.is_empty()
            && !closing.iter().any(|id| eos.contains(id))
        {
            let text = |ids: &[i64]| {
                let tokens = prompter.describe(ids).into_iter();
                tokens.map(|token| token.text).collect::<String>()
            };
            tracing::warn!(
                "a generation ends at {:?}, but the chat template closes a turn with {:?}: answers may run on to the limit; add that token to `eos_token_id` in generation_config.json",
                text(&eos),
                text(&closing)
            );
        }
        Ok(Self {
            processor: F::pixels(folder, config)?,
            prompter,
            eos,
            batch: batch.into(),
            network,
        })
    }

    /// The network.
    pub fn network(&self) -> &F::Network {
        &self.network
    }

    /// What turns questions and answers into tokens.
    pub fn prompter(&self) -> &Prompter {
        &self.prompter
    }

    /// What turns images into pixels.
    pub fn processor(&self) -> &dyn Pixels {
        &*self.processor
    }

    /// Tokens that end a generation.
    pub fn end_tokens(&self) -> &[i64] {
        &self.eos
    }

    /// Replaces the tokens that end a generation.
    pub fn set_end_tokens(&mut self, eos: Vec<i64>) {
        self.eos = eos;
    }

    /// An answer about an image as the model reads it, the pass over it, and the image's tokens.
    pub(crate) fn read(
        &self,
        image: &GrayImage,
        question: &str,
        answer: &str,
        span: AnswerSpan,
    ) -> Result<(Answered, <F::Network as Network>::Pass, Grid)> {
        let grid = self.grid(image)?;
        let answered = self
            .prompter
            .answered(question, answer, span, grid.tokens())?;
        let pass = self.network.prefill(&answered.ids, grid)?;
        Ok((answered, pass, grid))
    }

    /// The image tokens of an image.
    pub(crate) fn grid(&self, image: &GrayImage) -> Result<Grid> {
        let (height, width) = image.view().dim();
        let (height, width) = self.processor.size(height, width)?;
        Ok(self.network.grid(height, width))
    }

    /// Normalised pixels `[images, 3, height, width]` of images of one size, as the network sees them: on its device, in its
    /// format.
    pub(crate) fn pixels(&self, images: &[&GrayImage]) -> Result<Tensor> {
        let each = images
            .iter()
            .map(|image| self.processor.pixels(image.view()))
            .collect::<Result<Vec<_>>>()?;
        let kind = self.network.kind()?;
        Ok(Tensor::f_stack(&each, 0)?
            .f_to_device(self.network.device())?
            .f_to_kind(kind)?)
    }
}

impl<F: Family> fmt::Debug for Backend<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backend")
            .field("network", &self.network)
            .field("batch", &self.batch)
            .finish_non_exhaustive()
    }
}

/// The end tokens of `generation_config.json`, or the others where it names none.
fn end_tokens(folder: &Path, others: Vec<i64>) -> Result<Vec<i64>> {
    #[derive(Deserialize)]
    struct Generation {
        eos_token_id: Option<Ids>,
    }
    let path = folder.join("generation_config.json");
    let text = match file::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(others),
        other => other,
    };
    let wrong = |reason: String| Error::File {
        path: path.clone(),
        reason,
    };
    let text = text.map_err(|error| wrong(format!("cannot be read ({error})")))?;
    let parsed: Generation =
        serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    Ok(parsed.eos_token_id.map_or(others, Ids::into_vec))
}

/// One id or several.
#[derive(Debug, Deserialize, Clone)]
#[serde(untagged)]
pub enum Ids {
    /// One.
    One(i64),
    /// Several.
    Many(Vec<i64>),
}

impl Ids {
    /// All of them.
    pub fn into_vec(self) -> Vec<i64> {
        match self {
            Self::One(id) => vec![id],
            Self::Many(ids) => ids,
        }
    }
}
