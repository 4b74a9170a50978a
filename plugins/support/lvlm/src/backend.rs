//! A checkpoint ready to answer: network, processor, tokenizer and settings in one value.

use std::fmt;
use std::path::Path;

use medfocus_plugin_api::{AnswerSpan, GrayImage, Memory};
use medfocus_torch::device;
use medfocus_torch::tch::{Device, Kind, Tensor};
use medfocus_torch::weights::Weights;

use crate::Result;
use crate::generation::GenerationSettings;
use crate::memory::{self, Batch};
use crate::network::{Family, Grid, Network, Pass, Pixels};
use crate::prompt::{Answered, Prompter};
use crate::pullback::TowerRun;
use crate::remembered::Remembered;

/// Called between the steps of long work with the steps done and their total; an error stops it.
pub type Watch<'a> = dyn Fn(usize, usize) -> Result<()> + 'a;

/// A checkpoint ready to answer.
pub struct Backend<F: Family> {
    pub(crate) network: F::Network,
    pub(crate) processor: Box<dyn Pixels>,
    pub(crate) prompter: Prompter,
    pub(crate) generation: GenerationSettings,
    remembered: Remembered,
    config: F::Config,
    /// Most images at once; without it as many as memory holds.
    limit: Option<usize>,
    /// Bytes that a batch may take.
    budget: u64,
}

impl<F: Family> Backend<F> {
    /// Loads a Hugging Face checkpoint folder. At most `limit` images go through the network at once, without a limit as many
    /// as [`Batch::fitting`] says.
    pub fn from_folder(
        folder: &Path,
        device: Device,
        kind: Kind,
        limit: impl Into<Option<usize>>,
    ) -> Result<Self> {
        let config = F::config(folder)?;
        let network = F::network(&config, &Weights::open(folder, device, kind)?)?;
        Self::with_network(network, config, folder, limit)
    }

    /// The same around a network that is already there; the folder gives tokenizer and processor.
    pub fn with_network(
        network: F::Network,
        config: F::Config,
        folder: &Path,
        limit: impl Into<Option<usize>>,
    ) -> Result<Self> {
        let prompter = Prompter::from_folder::<F>(folder, &config)?;
        let generation = GenerationSettings::from_folder(folder, F::end_tokens(&config))?;
        let eos = &generation.eos;
        if let Ok(closing) = prompter.closing()
            && !closing.is_empty()
            && !closing.iter().any(|id| eos.contains(id))
        {
            let text = |ids: &[i64]| {
                let tokens = prompter.describe(ids).into_iter();
                tokens.map(|token| token.text).collect::<String>()
            };
            tracing::warn!(
                "a generation ends at {:?}, but the chat template closes a turn with {:?}: answers may run on to the limit; add that token to `eos_token_id` in generation_config.json",
                text(eos),
                text(&closing)
            );
        }
        let weights = parameters::<F>(&config)? * network.kind()?.elt_size_in_bytes() as u64;
        Ok(Self {
            budget: memory::budget(device::memory(network.device()), weights),
            processor: F::pixels(folder, &config)?,
            prompter,
            generation,
            remembered: Remembered::default(),
            limit: limit.into(),
            network,
            config,
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
        &self.generation.eos
    }

    /// Replaces the tokens that end a generation.
    pub fn set_end_tokens(&mut self, eos: Vec<i64>) {
        self.generation.eos = eos;
    }

    /// An answer about an image as the model reads it, the pass over it, and the image's tokens.
    pub(crate) fn read(
        &self,
        image: &GrayImage,
        question: &str,
        answer: &str,
        span: AnswerSpan,
    ) -> Result<(Answered, Pass<F::Network>, Grid)> {
        let grid = self.grid(image.view().dim())?;
        let answered = self
            .prompter
            .answered(question, answer, span, grid.tokens())?;
        let pass = self.network.prefill(&answered.ids, grid)?;
        Ok((answered, pass, grid))
    }

    /// The image tokens of an image of this height and width.
    pub(crate) fn grid(&self, (height, width): (usize, usize)) -> Result<Grid> {
        let (height, width) = self.processor.size(height, width)?;
        Ok(self.network.grid(height, width))
    }

    /// Most images of this height and width that go through the network at once.
    pub(crate) fn batch(&self, image: (usize, usize)) -> Result<Batch> {
        Ok(match self.limit {
            Some(images) => images.into(),
            None => Batch::fitting(self.memory(image)?, self.budget, self.network.device()),
        })
    }

    /// Working memory of one more image of this height and width.
    pub fn memory(&self, (height, width): (usize, usize)) -> Result<Memory> {
        let (height, width) = self.processor.size(height, width)?;
        let shapes = F::shapes(&self.config, height, width);
        Ok(memory::estimate(shapes, self.network.kind()?))
    }

    /// Image features `[images, tokens, hidden]` of images of one size, kept for the next call about the same ones.
    pub(crate) fn features(&self, images: &[&GrayImage]) -> Result<Tensor> {
        match images {
            [image] => self.features_through(image, || self.pixels(images)),
            _ => self
                .remembered
                .of_batch(images, || self.tower(&self.pixels(images)?)),
        }
    }

    /// Those of an image whose pixels may be there already.
    pub(crate) fn features_through(
        &self,
        image: &GrayImage,
        pixels: impl FnOnce() -> Result<Tensor>,
    ) -> Result<Tensor> {
        self.remembered.of(image, || self.tower(&pixels()?))
    }

    fn tower(&self, pixels: &Tensor) -> Result<Tensor> {
        let run = TowerRun::new(&self.network, pixels, false)?;
        Ok(run.features().shallow_clone())
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

/// How many numbers the parameters of this configuration are.
pub fn parameters<F: Family>(config: &F::Config) -> Result<u64> {
    let blueprint = Weights::blueprint();
    F::network(config, &blueprint)?;
    let shapes = blueprint.wanted().into_values();
    Ok(shapes
        .map(|shape| shape.iter().product::<i64>().unsigned_abs())
        .sum())
}

impl<F: Family> fmt::Debug for Backend<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backend")
            .field("network", &self.network)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}
