//! The network that predicts the noise in latents: `UNet2DConditionModel` of diffusers, as any configuration describes
//! it that has blocks with and without cross-attention only.
//!
//! Follows `unet_2d_condition.py` of diffusers 0.39.0 and agrees with it number by number: `tests/networks/unet.rs` compares every
//! part with values written by the reference.

pub mod blocks;
pub mod config;
pub mod time;
pub mod transformer;

use std::collections::BTreeMap;
use std::path::Path;

use medfocus_torch::tch::{Device, Kind, Tensor};
use medfocus_torch::weights::Weights;

use crate::Result;
use crate::diffusers::count;
use crate::diffusers::layers::{Conv, GroupNorm};
use blocks::{Condition, DownBlock, MidBlock, UpBlock};
use config::Config;
use time::TimeEmbedding;

/// The noise in latents, given a timestep and a text.
#[derive(Debug)]
pub struct UNet {
    config: Config,
    conv_in: Conv,
    time: TimeEmbedding,
    down: Vec<DownBlock>,
    mid: MidBlock,
    up: Vec<UpBlock>,
    norm_out: GroupNorm,
    conv_out: Conv,
    parameters: u64,
}

impl UNet {
    /// Reads `config.json` and the weights of a diffusers folder (the `unet` folder), onto `device` in `kind`.
    pub fn load(folder: &Path, device: Device, kind: Kind) -> Result<Self> {
        let config = Config::from_folder(folder)?;
        Self::new(config, &Weights::open(folder, device, kind)?)
    }

    /// The network of a configuration and these weights.
    ///
    /// # Errors
    ///
    /// A tensor that is missing, of another shape, or left over.
    pub fn new(config: Config, weights: &Weights) -> Result<Self> {
        let mut network = Self::build(config, weights)?;
        weights.check_unused(|_| false)?;
        network.parameters = count(&Self::shapes(&network.config)?);
        Ok(network)
    }

    /// Name and shape of every parameter of this configuration.
    pub fn shapes(config: &Config) -> Result<BTreeMap<String, Vec<i64>>> {
        let blueprint = Weights::blueprint();
        Self::build(config.clone(), &blueprint)?;
        Ok(blueprint.wanted())
    }

    fn build(config: Config, weights: &Weights) -> Result<Self> {
        let levels = 0..config.levels.len();
        let first = config.levels[0].channels;
        let (groups, eps) = (config.norm_num_groups, config.norm_eps);
        Ok(Self {
            conv_in: Conv::same(weights, "conv_in", config.in_channels, first)?,
            time: TimeEmbedding::new(weights, &config)?,
            down: levels
                .clone()
                .map(|number| DownBlock::new(weights, &config, number))
                .collect::<Result<_>>()?,
            mid: MidBlock::new(weights, &config)?,
            up: levels
                .map(|number| UpBlock::new(weights, &config, number))
                .collect::<Result<_>>()?,
            norm_out: GroupNorm::new(weights, "conv_norm_out", first, groups, eps)?,
            conv_out: Conv::same(weights, "conv_out", first, config.out_channels)?,
            parameters: 0,
            config,
        })
    }

    /// The configuration it was built from.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// How many numbers it is made of.
    pub fn parameters(&self) -> u64 {
        self.parameters
    }

    /// Predicted noise `[N, channels, h, w]` in the latents' own format, of noisy latents `[N, channels, h, w]` of any
    /// size at a timestep 0..1000, given text states `[N, tokens, width]`.
    pub fn forward(&self, latents: &Tensor, timestep: i64, text: &Tensor) -> Result<Tensor> {
        let format @ (kind, device) = self.conv_in.format()?;
        let own = |tensor: &Tensor| -> Result<Tensor> {
            Ok(tensor.f_to_device(device)?.f_to_kind(kind)?)
        };
        let (time, text) = (self.time.forward(timestep, format)?, own(text)?);
        let condition = Condition {
            time: &time,
            text: &text,
        };
        let mut x = self.conv_in.forward(&own(latents)?)?;
        let mut kept = vec![x.shallow_clone()];
        for block in &self.down {
            x = block.forward(x, condition, &mut kept)?;
        }
        x = self.mid.forward(&x, condition)?;
        for block in &self.up {
            x = block.forward(x, condition, &mut kept)?;
        }
        let noise = self
            .conv_out
            .forward(&self.norm_out.forward(&x)?.f_silu()?)?;
        Ok(noise
            .f_to_device(latents.device())?
            .f_to_kind(latents.f_kind()?)?)
    }
}
