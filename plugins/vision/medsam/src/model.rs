//! The whole network.
//!
//! Built from a checkpoint folder for inference, or from tensors in memory for training: every operation is recorded
//! by autograd when the tensors require gradients. The constructor already computes with them, so a trainer builds
//! the network anew for each step.

use std::collections::BTreeMap;
use std::path::Path;

use medfocus_torch::tch::{Device, Kind, Tensor};
use medfocus_torch::weights::Weights;

use crate::Result;
use crate::config::Config;
use crate::decoder::{Decoded, MaskDecoder};
use crate::encoder::ImageEncoder;
use crate::prompt::PromptEncoder;

/// SAM: an image is encoded once, then any number of boxes is decoded.
#[derive(Debug)]
pub struct Sam {
    config: Config,
    encoder: ImageEncoder,
    prompts: PromptEncoder,
    decoder: MaskDecoder,
    /// Code of every patch, `[grid * grid, width]`.
    places: Tensor,
    /// What stands for a prompt without a mask, `[1, width, 1, 1]`.
    no_mask: Tensor,
}

impl Sam {
    /// Loads a Hugging Face checkpoint folder.
    pub fn from_folder(folder: &Path, device: Device, kind: Kind) -> Result<Self> {
        let config = Config::from_folder(folder)?;
        Self::new(config, &Weights::open(folder, device, kind)?)
    }

    /// The network of a configuration and these weights.
    ///
    /// # Errors
    ///
    /// A tensor that is missing, of another shape, or left over.
    pub fn new(config: Config, weights: &Weights) -> Result<Self> {
        let prompts = PromptEncoder::new(&config, weights)?;
        let model = Self {
            encoder: ImageEncoder::new(&config.vision, weights)?,
            decoder: MaskDecoder::new(&config.decoder, weights)?,
            places: prompts.grid()?,
            no_mask: prompts.no_mask()?.f_reshape([1, -1, 1, 1])?,
            prompts,
            config,
        };
        weights.check_unused(|_| false)?;
        Ok(model)
    }

    /// Name and shape of every parameter of this configuration.
    pub fn parameters(config: &Config) -> Result<BTreeMap<String, Vec<i64>>> {
        let blueprint = Weights::blueprint();
        Self::new(config.clone(), &blueprint)?;
        Ok(blueprint.wanted())
    }

    /// The configuration it was built from.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Layers of the image encoder.
    pub fn depth(&self) -> usize {
        self.encoder.depth()
    }

    /// Pixels `[images, 3, side, side]` to embeddings `[images, width, grid, grid]`.
    ///
    /// Before each layer it tells `watch` how many are done; an error of it stops the work.
    pub fn encode(&self, pixels: &Tensor, watch: &dyn Fn(usize) -> Result<()>) -> Result<Tensor> {
        let pixels = pixels
            .f_to_device(self.places.device())?
            .f_to_kind(self.places.f_kind()?)?;
        self.encoder.forward(&pixels, watch)
    }

    /// Masks and scores of boxes on an image's embedding `[1, width, grid, grid]`; corners `[x1, y1, x2, y2]` in pixels
    /// of the network's input.
    pub fn decode(&self, embedding: &Tensor, corners: &[[f64; 4]]) -> Result<Decoded> {
        let embedding = embedding.f_add(&self.no_mask)?;
        let prompts = self.prompts.boxes(corners)?;
        self.decoder.forward(&embedding, &self.places, &prompts)
    }
}
