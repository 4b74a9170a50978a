//! The whole network: image tower, projector and decoder.
//!
//! Built from a checkpoint folder for inference, or from tensors in memory for training: every
//! operation is recorded by autograd when the tensors require gradients.

use std::collections::BTreeMap;
use std::path::Path;

use medfocus_torch::tch::{Device, Kind, Tensor};
use medfocus_torch::weights::Weights;

use crate::config::Config;
use crate::mask::image_blocks;
use crate::names::Names;
use crate::projector::Projector;
use crate::text::{Decoder, Pass};
use crate::vision::VisionTower;
use crate::{Error, Result};

/// Gemma 3 with its image tower.
#[derive(Debug)]
pub struct Gemma3 {
    config: Config,
    vision: VisionTower,
    projector: Projector,
    decoder: Decoder,
}

impl Gemma3 {
    /// Loads a Hugging Face checkpoint folder.
    pub fn from_folder(folder: &Path, device: Device, kind: Kind) -> Result<Self> {
        let config = Config::from_folder(folder)?;
        Self::new(config, &Weights::open(folder, device, kind)?)
    }

    /// Builds the network from weights by name, in the hub's or the newer spelling.
    ///
    /// Tensors that the configuration does not call for are an error: they mean that the
    /// configuration belongs to another checkpoint. A redundant output table is tolerated.
    pub fn new(config: Config, weights: &Weights) -> Result<Self> {
        let names = Names::detect(weights)?;
        let model = Self {
            vision: VisionTower::new(&config.vision, weights, names.vision)?,
            projector: Projector::new(&config, weights, names.projector)?,
            decoder: Decoder::new(&config.text, weights, names.decoder, names.head)?,
            config,
        };
        names.check_unused(weights)?;
        Ok(model)
    }

    /// These weights of this configuration with noise in place of its top `layers` decoder layers
    /// (cascading randomisation, Adebayo et al., NeurIPS 2018). More layers keep the noise of fewer.
    pub fn randomised(
        config: &Config,
        weights: Weights,
        layers: usize,
        seed: u64,
    ) -> Result<Weights> {
        let depth = config.text.layers.len();
        let Some(first) = depth.checked_sub(layers) else {
            return Err(Error::Request(format!(
                "{layers} decoder layers cannot be randomised: this model has {depth}"
            )));
        };
        let names = Names::detect(&weights)?;
        let prefixes = (first..depth)
            .map(|layer| format!("{}.layers.{layer}.", names.decoder))
            .collect();
        Ok(weights.randomised(prefixes, seed))
    }

    /// Name (as on the hub) and shape of every parameter of this configuration.
    pub fn parameters(config: &Config) -> Result<BTreeMap<String, Vec<i64>>> {
        let blueprint = Weights::blueprint();
        Self::new(config.clone(), &blueprint)?;
        Ok(blueprint.wanted())
    }

    /// The configuration it was built from.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The image tower.
    pub fn vision(&self) -> &VisionTower {
        &self.vision
    }

    /// The decoder.
    pub fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    /// Where the weights are.
    pub fn device(&self) -> Device {
        self.decoder.device()
    }

    /// Normalised pixels `[images, 3, side, side]` to image tokens `[images, tokens per image, hidden]`.
    pub fn image_features(&self, pixels: &Tensor) -> Result<Tensor> {
        let pixels = pixels
            .f_to_device(self.device())?
            .f_to_kind(self.decoder.kind()?)?;
        self.project(&self.vision.forward(&pixels)?)
    }

    /// Patch features of the tower to image tokens.
    pub fn project(&self, patches: &Tensor) -> Result<Tensor> {
        self.projector.forward(patches)
    }

    /// Decoder input `[batch, tokens, hidden]`: scaled embeddings with the image features, unscaled,
    /// in the places of the image tokens.
    pub fn embed(&self, ids: &[i64], features: &Tensor) -> Result<Tensor> {
        let row = Tensor::f_from_slice(ids)?
            .f_to_device(self.device())?
            .f_unsqueeze(0)?;
        let images = ids
            .iter()
            .filter(|&&id| id == self.config.image_token)
            .count() as i64;
        let (blocks, tokens, _) = features.size3()?;
        let filled = blocks * tokens;
        if images == 0 || filled % images != 0 {
            return Err(Error::Request(format!(
                "{filled} image features do not fill the {images} image tokens of each sequence"
            )));
        }
        self.embed_batch(
            &row.f_expand([filled / images, ids.len() as i64], false)?,
            features,
        )
    }

    /// The same for sequences `[batch, tokens]` that differ.
    pub fn embed_batch(&self, ids: &Tensor, features: &Tensor) -> Result<Tensor> {
        let embedded = self.decoder.embed(ids)?;
        let places = ids
            .f_eq(self.config.image_token)?
            .f_unsqueeze(-1)?
            .f_expand_as(&embedded)?;
        let features = features.f_to_kind(embedded.f_kind()?)?;
        Ok(embedded.f_masked_scatter(&places, &features)?)
    }

    /// Positions and masks of a sequence with these ids.
    pub fn prefill(&self, ids: &[i64]) -> Result<Pass> {
        self.decoder
            .prefill(&image_blocks(ids, self.config.image_token))
    }

    /// Final hidden states `[batch, tokens, hidden]` of sequences `ids [batch, tokens]` with their
    /// `pixels [images, 3, side, side]`, in order. Made for training.
    ///
    /// All sequences must have their image tokens at the same places. Shorter ones are padded on
    /// the right: attention is causal, so padding changes nothing before it.
    pub fn hidden(&self, ids: &Tensor, pixels: &Tensor) -> Result<Tensor> {
        let (batch, tokens) = ids.size2()?;
        let flat = Vec::<i64>::try_from(
            ids.f_flatten(0, -1)?
                .f_to_device(Device::Cpu)?
                .f_to_kind(Kind::Int64)?,
        )?;
        let mut rows = flat
            .chunks(tokens.max(1) as usize)
            .map(|row| image_blocks(row, self.config.image_token));
        let Some(blocks) = rows.next() else {
            return Err(Error::Request("a batch without sequences".to_owned()));
        };
        if rows.any(|row| row != blocks) {
            return Err(Error::Request(
                "the sequences of a batch have their image tokens at different places".to_owned(),
            ));
        }
        let features = self.image_features(pixels)?;
        let places = blocks.iter().filter(|&&block| block >= 0).count() as i64 * batch;
        let (images, each, _) = features.size3()?;
        if places != images * each {
            return Err(Error::Request(format!(
                "{images} images make {} features for {places} image tokens",
                images * each
            )));
        }
        let embedded = self.embed_batch(&ids.f_to_device(self.device())?, &features)?;
        self.decoder
            .run(&embedded, &self.decoder.prefill(&blocks)?, None)
    }

    /// Logits `[batch, tokens, vocabulary]` of whole sequences; see [`Gemma3::hidden`].
    pub fn forward(&self, ids: &Tensor, pixels: &Tensor) -> Result<Tensor> {
        self.decoder.logits(&self.hidden(ids, pixels)?)
    }
}
