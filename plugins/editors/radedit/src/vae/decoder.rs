//! Latents to images.

use medfocus_torch::tch::Tensor;
use medfocus_torch::weights::Weights;

use super::config::{COLOURS, Config, EPS};
use super::middle::Middle;
use crate::Result;
use crate::diffusers::layers::{Conv, GroupNorm};
use crate::diffusers::resample::Upsample;
use crate::diffusers::resnet::Resnet;

/// Levels of ever more pixels.
#[derive(Debug)]
pub struct Decoder {
    conv_in: Conv,
    middle: Middle,
    levels: Vec<Level>,
    norm_out: GroupNorm,
    conv_out: Conv,
}

#[derive(Debug)]
struct Level {
    resnets: Vec<Resnet>,
    upsample: Option<Upsample>,
}

impl Decoder {
    /// Takes everything below `decoder`.
    pub fn new(weights: &Weights, config: &Config) -> Result<Self> {
        let (first, coarsest) = (config.block_out_channels[0], config.coarsest());
        let (groups, latents) = (config.norm_num_groups, config.latent_channels);
        let level = |number| Level::new(weights, config, number);
        let levels = 0..config.block_out_channels.len();
        Ok(Self {
            conv_in: Conv::same(weights, "decoder.conv_in", latents, coarsest)?,
            middle: Middle::new(weights, "decoder", config)?,
            levels: levels.map(level).collect::<Result<_>>()?,
            norm_out: GroupNorm::new(weights, "decoder.conv_norm_out", first, groups, EPS)?,
            conv_out: Conv::same(weights, "decoder.conv_out", first, COLOURS)?,
        })
    }

    /// `[N, latent channels, h, w]` to `[N, 3, h', w']`, each side doubled once a level but the last.
    pub fn forward(&self, latents: &Tensor) -> Result<Tensor> {
        let mut x = self.middle.forward(&self.conv_in.forward(latents)?)?;
        for level in &self.levels {
            x = level.forward(x)?;
        }
        self.conv_out.forward(&self.norm_out.forward(&x)?.f_silu()?)
    }
}

impl Level {
    /// Levels are counted from the coarsest.
    fn new(weights: &Weights, config: &Config, number: usize) -> Result<Self> {
        let name = format!("decoder.up_blocks.{number}");
        let all: Vec<i64> = config.block_out_channels.iter().rev().copied().collect();
        let (before, channels) = (all[number.saturating_sub(1)], all[number]);
        let resnet = |at| {
            let inputs = if at == 0 { before } else { channels };
            let name = format!("{name}.resnets.{at}");
            Resnet::new(weights, &name, inputs, channels, config.resnet())
        };
        let upsample = || Upsample::new(weights, &format!("{name}.upsamplers.0"), channels);
        Ok(Self {
            resnets: (0..=config.layers_per_block)
                .map(resnet)
                .collect::<Result<_>>()?,
            upsample: (number + 1 < all.len()).then(upsample).transpose()?,
        })
    }

    fn forward(&self, x: Tensor) -> Result<Tensor> {
        let mut x = x;
        for resnet in &self.resnets {
            x = resnet.forward(&x, None)?;
        }
        match &self.upsample {
            Some(upsample) => {
                let (_, _, height, width) = x.size4()?;
                upsample.forward(&x, [2 * height, 2 * width])
            }
            None => Ok(x),
        }
    }
}
