//! The whole network: image tower, projector and decoder.
//!
//! Built from a checkpoint folder for inference, or from tensors in memory for training: every
//! operation is recorded by autograd when the tensors require gradients.

use std::collections::BTreeMap;

use medfocus_lvlm::decoder::Decoder;
use medfocus_lvlm::mask::image_blocks;
use medfocus_lvlm::network::{Grid, Network};
use medfocus_torch::nn::RmsNorm;
use medfocus_torch::tch::Tensor;
use medfocus_torch::weights::Weights;

use crate::Result;
use crate::config::Config;
use crate::names::Names;
use crate::projector::Projector;
use crate::text::{Layer, Pass};
use crate::vision::VisionTower;

/// Gemma 3 with its image tower.
#[derive(Debug)]
pub struct Gemma3 {
    config: Config,
    vision: VisionTower,
    projector: Projector,
    /// Square root of the decoder's width, rounded to the format of the weights (50.5, not 50.596, in bf16).
    embedding_scale: Tensor,
    decoder: Decoder<Layer>,
}

impl Gemma3 {
    /// Builds the network from weights by name, in any spelling of a checkpoint.
    ///
    /// Tensors that the configuration does not call for are an error: they mean that the
    /// configuration belongs to another checkpoint. What transformers ignores is tolerated.
    pub fn new(config: Config, weights: &Weights) -> Result<Self> {
        let names = Names::detect(weights)?;
        if config.text.tied {
            names.check_tied(weights)?;
        }
        let text = &config.text;
        let decoder = Decoder::new(
            weights,
            names.decoder,
            [text.vocab_size, text.hidden_size],
            (!text.tied).then_some(names.head),
            text.layers.len(),
            |index, name| Layer::new(text, index, weights, name),
            RmsNorm::one_plus(
                weights,
                &format!("{}.norm", names.decoder),
                text.hidden_size,
                text.rms_norm_eps,
            )?,
        )?;
        let table = decoder.embedding();
        let model = Self {
            embedding_scale: Tensor::f_full(
                [] as [i64; 0],
                (text.hidden_size as f64).sqrt(),
                (table.f_kind()?, table.device()),
            )?,
            vision: VisionTower::new(&config.vision, weights, names.vision)?,
            projector: Projector::new(&config, weights, names.projector)?,
            decoder,
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
}

impl Network for Gemma3 {
    type Layer = Layer;

    fn decoder(&self) -> &Decoder<Layer> {
        &self.decoder
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
        Ok(self.decoder.embed(ids)?.f_mul(&self.embedding_scale)?)
    }

    fn prefill(&self, ids: &[i64], _: Grid) -> Result<Pass> {
        let blocks = image_blocks(ids, self.config.image_token);
        Pass::prefill(&self.config.text, &blocks, (self.kind()?, self.device()))
    }

    fn step(&self, prefill: &Pass, generated: usize) -> Result<Pass> {
        let options = (self.kind()?, self.device());
        prefill.step(&self.config.text, generated, options)
    }
}
