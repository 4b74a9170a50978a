//! The whole network: image tower and decoder.

use std::collections::BTreeMap;

use medfocus_lvlm::decoder::Decoder;
use medfocus_lvlm::network::{Grid, Network};
use medfocus_torch::nn::RmsNorm;
use medfocus_torch::tch::Tensor;
use medfocus_torch::weights::Weights;

use crate::Result;
use crate::config::Config;
use crate::names::{HEAD, Names};
use crate::text::{Layer, Pass};
use crate::vision::VisionTower;

/// Qwen2.5-VL.
#[derive(Debug)]
pub struct Qwen2_5Vl {
    config: Config,
    vision: VisionTower,
    decoder: Decoder<Layer>,
}

impl Qwen2_5Vl {
    /// Builds the network from weights by name, in any spelling of a checkpoint.
    ///
    /// Tensors that the configuration does not call for are an error: they mean that the configuration belongs to another
    /// checkpoint. What transformers ignores is tolerated.
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
            (!text.tied).then_some(HEAD),
            text.layers as usize,
            |index, name| Layer::new(text, index, weights, name),
            RmsNorm::plain(
                weights,
                &format!("{}.norm", names.decoder),
                text.hidden_size,
                text.rms_norm_eps,
            )?,
        )?;
        let model = Self {
            vision: VisionTower::new(&config.vision, weights, names.vision)?,
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

    /// The image tower.
    pub fn vision(&self) -> &VisionTower {
        &self.vision
    }
}

impl Network for Qwen2_5Vl {
    type Layer = Layer;

    fn decoder(&self) -> &Decoder<Layer> {
        &self.decoder
    }

    fn image_token(&self) -> i64 {
        self.config.image_token
    }

    fn grid(&self, height: i64, width: i64) -> Grid {
        let side = self.config.vision.token_side();
        Grid {
            rows: (height / side) as usize,
            columns: (width / side) as usize,
        }
    }

    fn stages(&self) -> usize {
        self.vision.stages()
    }

    fn stage(&self, stage: usize, x: &Tensor) -> Result<Tensor> {
        self.vision.stage(stage, x)
    }

    fn prefill(&self, ids: &[i64], grid: Grid) -> Result<Pass> {
        let Config {
            text, image_token, ..
        } = &self.config;
        Pass::prefill(text, ids, *image_token, grid, (self.kind()?, self.device()))
    }

    fn step(&self, prefill: &Pass, generated: usize) -> Result<Pass> {
        let options = (self.kind()?, self.device());
        prefill.step(&self.config.text, generated, options)
    }
}
