//! The whole network: image tower and decoder.

use std::collections::BTreeMap;

use medfocus_lvlm::cache::Cache;
use medfocus_lvlm::network::{Attend, Grid, Network};
use medfocus_torch::tch::{Device, Kind, Tensor};
use medfocus_torch::weights::Weights;

use crate::Result;
use crate::config::Config;
use crate::names::{HEAD, Names};
use crate::text::{Decoder, Pass};
use crate::vision::VisionTower;

/// Qwen2.5-VL.
#[derive(Debug)]
pub struct Qwen2_5Vl {
    config: Config,
    vision: VisionTower,
    decoder: Decoder,
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
        let model = Self {
            vision: VisionTower::new(&config.vision, weights, names.vision)?,
            decoder: Decoder::new(&config.text, weights, names.decoder, HEAD)?,
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

    fn embed(&self, ids: &Tensor) -> Result<Tensor> {
        self.decoder.embed(ids)
    }

    fn prefill(&self, ids: &[i64], grid: Grid) -> Result<Pass> {
        self.decoder.prefill(ids, self.config.image_token, grid)
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
