//! Images to the moments of their latents.

use medfocus_torch::tch::Tensor;
use medfocus_torch::weights::Weights;

use super::config::{COLOURS, Config, EPS};
use super::middle::Middle;
use crate::Result;
use crate::diffusers::layers::{Conv, GroupNorm};
use crate::diffusers::resample::Downsample;
use crate::diffusers::resnet::Resnet;

/// Levels of ever fewer pixels.
#[derive(Debug)]
pub struct Encoder {
    conv_in: Conv,
    levels: Vec<Level>,
    middle: Middle,
    norm_out: GroupNorm,
    conv_out: Conv,
}

#[derive(Debug)]
struct Level {
    resnets: Vec<Resnet>,
    downsample: Option<Downsample>,
}

impl Encoder {
    /// Takes everything below `encoder`.
    pub fn new(weights: &Weights, config: &Config) -> Result<Self> {
        let (first, coarsest) = (config.block_out_channels[0], config.coarsest());
        let (groups, moments) = (config.norm_num_groups, 2 * config.latent_channels);
        let level = |number| Level::new(weights, config, number);
        let levels = 0..config.block_out_channels.len();
        Ok(Self {
            conv_in: Conv::same(weights, "encoder.conv_in", COLOURS, first)?,
            levels: levels.map(level).collect::<Result<_>>()?,
            middle: Middle::new(weights, "encoder", config)?,
            norm_out: GroupNorm::new(weights, "encoder.conv_norm_out", coarsest, groups, EPS)?,
            conv_out: Conv::same(weights, "encoder.conv_out", coarsest, moments)?,
        })
    }

    /// `[N, 3, h, w]` to `[N, 2 latent channels, h', w']`, each side halved once a level but the last.
    pub fn forward(&self, image: &Tensor) -> Result<Tensor> {
        let mut x = self.conv_in.forward(image)?;
        for level in &self.levels {
            x = level.forward(x)?;
        }
        let x = self.norm_out.forward(&self.middle.forward(&x)?)?.f_silu()?;
        self.conv_out.forward(&x)
    }
}

impl Level {
    fn new(weights: &Weights, config: &Config, number: usize) -> Result<Self> {
        let name = format!("encoder.down_blocks.{number}");
        let all = &config.block_out_channels;
        let (before, channels) = (all[number.saturating_sub(1)], all[number]);
        let resnet = |at| {
            let inputs = if at == 0 { before } else { channels };
            let name = format!("{name}.resnets.{at}");
            Resnet::new(weights, &name, inputs, channels, config.resnet())
        };
        // Padded on the right and below alone.
        let downsample =
            || Downsample::new(weights, &format!("{name}.downsamplers.0"), channels, 0);
        Ok(Self {
            resnets: (0..config.layers_per_block)
                .map(resnet)
                .collect::<Result<_>>()?,
            downsample: (number + 1 < all.len()).then(downsample).transpose()?,
        })
    }

    fn forward(&self, x: Tensor) -> Result<Tensor> {
        let mut x = x;
        for resnet in &self.resnets {
            x = resnet.forward(&x, None)?;
        }
        match &self.downsample {
            Some(downsample) => downsample.forward(&x),
            None => Ok(x),
        }
    }
}
