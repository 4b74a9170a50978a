//! The whole network: image tower, projector and decoder.
//!
//! Built from a checkpoint folder for inference, or from tensors in memory for training: every
//! operation is recorded by autograd when the tensors require gradients.

use std::collections::BTreeMap;
use std::path::Path;

use medfocus_lvlm::cache::Cache;
use medfocus_lvlm::mask::image_blocks;
use medfocus_lvlm::network::{Attend, Grid, Network};
use medfocus_torch::tch::{Device, Kind, Tensor};
use medfocus_torch::weights::Weights;

use crate::Result;
use crate::config::Config;
use crate::names::Names;
use crate::projector::Projector;
use crate::text::{Decoder, Pass};
use crate::vision::VisionTower;

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

    /// Builds the network from weights by name, in any spelling of a checkpoint.
    ///
    /// Tensors that the configuration does not call for are an error: they mean that the
    /// configuration belongs to another checkpoint. What transformers ignores is tolerated.
    pub fn new(config: Config, weights: &Weights) -> Result<Self> {
        let names = Names::detect(weights)?;
        if config.text.tied {
            names.check_tied(weights)?;
        }
        let model = Self {
            vision: VisionTower::new(&config.vision, weights, names.vision)?,
            projector: Projector::new(&config, weights, names.projector)?,
            decoder: Decoder::new(&config.text, weights, names.decoder, names.head)?,
            config,
        };
        names.check_unused(weights)?;
        Ok(model)
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

    /// The projector.
    pub fn projector(&self) -> &Projector {
        &self.projector
    }

    /// The decoder.
    pub fn decoder(&self) -> &Decoder {
        &self.decoder
    }
}

impl Network for Gemma3 {
    type Pass = Pass;

    fn device(&self) -> Device {
        self.decoder.device()
    }

    fn kind(&self) -> Result<Kind> {
        self.decoder.kind()
    }

    fn image_token(&self) -> i64 {
        self.config.image_token
    }

    fn grid(&self, _: i64, _: i64) -> Grid {
        self.config.grid()
    }

    fn stages(&self) -> usize {
        self.vision.stages() + 1
    }

    fn stage(&self, stage: usize, x: &Tensor) -> Result<Tensor> {
        if stage < self.vision.stages() {
            self.vision.stage(stage, x)
        } else {
            self.projector.forward(x)
        }
    }

    fn embed(&self, ids: &Tensor) -> Result<Tensor> {
        self.decoder.embed(ids)
    }

    fn prefill(&self, ids: &[i64], _: Grid) -> Result<Pass> {
        self.decoder
            .prefill(&image_blocks(ids, self.config.image_token))
    }

    fn step(&self, prefill: &Pass, generated: usize) -> Result<Pass> {
        self.decoder.step(prefill, generated)
    }

    fn depth(&self) -> usize {
        self.decoder.depth()
    }

    fn layer(
        &self,
        index: usize,
        hidden: &Tensor,
        pass: &Pass,
        attend: Attend<'_>,
        cache: Option<&mut Cache>,
    ) -> Result<Tensor> {
        self.decoder.layer(index, hidden, pass, attend, cache)
    }

    fn finish(&self, hidden: &Tensor) -> Result<Tensor> {
        self.decoder.finish(hidden)
    }

    fn logits(&self, finished: &Tensor) -> Result<Tensor> {
        self.decoder.logits(finished)
    }
}
