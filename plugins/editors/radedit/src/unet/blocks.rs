//! The way down, the middle and the way up.

use medfocus_torch::tch::Tensor;
use medfocus_torch::weights::Weights;

use super::config::{Config, Level};
use super::transformer::Transformer;
use crate::diffusers::resample::{Downsample, Upsample};
use crate::diffusers::resnet::{Resnet, ResnetShape};
use crate::{Error, Result};

/// What every block is told.
#[derive(Debug, Clone, Copy)]
pub struct Condition<'a> {
    /// Embedding of the timestep, `[1, width]`.
    pub time: &'a Tensor,
    /// Text states, `[N, tokens, width]`.
    pub text: &'a Tensor,
}

/// A residual block and, on levels that attend, a transformer.
#[derive(Debug)]
struct Layer {
    resnet: Resnet,
    transformer: Option<Transformer>,
}

impl Layer {
    /// Takes `{block}.resnets.{number}` and, if it attends, `{block}.attentions.{number}`.
    fn new(
        weights: &Weights,
        (block, number): (&str, i64),
        config: &Config,
        level: &Level,
        inputs: i64,
        attends: bool,
    ) -> Result<Self> {
        let resnet = format!("{block}.resnets.{number}");
        let transformer = || {
            let name = format!("{block}.attentions.{number}");
            Transformer::new(weights, &name, config, level, level.only_cross_attention)
        };
        Ok(Self {
            resnet: Resnet::new(weights, &resnet, inputs, level.channels, config.resnet())?,
            transformer: attends.then(transformer).transpose()?,
        })
    }

    fn forward(&self, x: &Tensor, condition: Condition) -> Result<Tensor> {
        let x = self.resnet.forward(x, Some(condition.time))?;
        match &self.transformer {
            Some(transformer) => transformer.forward(&x, condition.text),
            None => Ok(x),
        }
    }
}

/// One level on the way down.
#[derive(Debug)]
pub struct DownBlock {
    layers: Vec<Layer>,
    downsample: Option<Downsample>,
}

impl DownBlock {
    /// Takes `down_blocks.{number}`: `.resnets`, `.attentions` and, but for the coarsest level, `.downsamplers.0`.
    pub fn new(weights: &Weights, config: &Config, number: usize) -> Result<Self> {
        let name = format!("down_blocks.{number}");
        let level = &config.levels[number];
        let before = config.levels[number.saturating_sub(1)].channels;
        let layer = |at| {
            let inputs = if at == 0 { before } else { level.channels };
            Layer::new(
                weights,
                (&name, at),
                config,
                level,
                inputs,
                level.attends_down,
            )
        };
        let downsample = || {
            let (name, padding) = (format!("{name}.downsamplers.0"), config.downsample_padding);
            Downsample::new(weights, &name, level.channels, padding)
        };
        Ok(Self {
            layers: (0..level.layers).map(layer).collect::<Result<_>>()?,
            downsample: (number + 1 < config.levels.len())
                .then(downsample)
                .transpose()?,
        })
    }

    /// `[N, channels before, h, w]` to `[N, channels, h / 2, w / 2]`. What each layer leaves is kept for the way up.
    pub fn forward(
        &self,
        x: Tensor,
        condition: Condition,
        kept: &mut Vec<Tensor>,
    ) -> Result<Tensor> {
        let mut x = x;
        for layer in &self.layers {
            x = layer.forward(&x, condition)?;
            kept.push(x.shallow_clone());
        }
        if let Some(downsample) = &self.downsample {
            x = downsample.forward(&x)?;
            kept.push(x.shallow_clone());
        }
        Ok(x)
    }
}

/// The coarsest level between the two ways.
#[derive(Debug)]
pub struct MidBlock {
    before: Resnet,
    transformer: Transformer,
    after: Resnet,
}

impl MidBlock {
    /// Takes `mid_block.resnets.0`, `.attentions.0` and `.resnets.1`. Its first attention never looks at the text.
    pub fn new(weights: &Weights, config: &Config) -> Result<Self> {
        let level = &config.levels[config.levels.len() - 1];
        let shape = ResnetShape {
            scale: config.mid_block_scale_factor,
            ..config.resnet()
        };
        let (width, attention) = (level.channels, "mid_block.attentions.0");
        let resnet = |leaf: &str| Resnet::new(weights, leaf, width, width, shape);
        Ok(Self {
            before: resnet("mid_block.resnets.0")?,
            transformer: Transformer::new(weights, attention, config, level, false)?,
            after: resnet("mid_block.resnets.1")?,
        })
    }

    /// `[N, channels, h, w]` to the same shape.
    pub fn forward(&self, x: &Tensor, condition: Condition) -> Result<Tensor> {
        let x = self.before.forward(x, Some(condition.time))?;
        let x = self.transformer.forward(&x, condition.text)?;
        self.after.forward(&x, Some(condition.time))
    }
}

/// One level on the way up.
#[derive(Debug)]
pub struct UpBlock {
    layers: Vec<Layer>,
    upsample: Option<Upsample>,
}

impl UpBlock {
    /// Takes `up_blocks.{number}`, counted from the coarsest level: `.resnets`, `.attentions` and, but for the finest
    /// level, `.upsamplers.0`.
    pub fn new(weights: &Weights, config: &Config, number: usize) -> Result<Self> {
        let name = format!("up_blocks.{number}");
        let coarsest = config.levels.len() - 1;
        let at_level = coarsest - number;
        let level = &config.levels[at_level];
        let before = config.levels[coarsest.min(at_level + 1)].channels;
        let finer = config.levels[at_level.saturating_sub(1)].channels;
        let layer = |at| {
            let x = if at == 0 { before } else { level.channels };
            // The last state of a level is what the finer one was halved to.
            let kept = if at == level.layers {
                finer
            } else {
                level.channels
            };
            Layer::new(
                weights,
                (&name, at),
                config,
                level,
                x + kept,
                level.attends_up,
            )
        };
        let upsample = || Upsample::new(weights, &format!("{name}.upsamplers.0"), level.channels);
        Ok(Self {
            layers: (0..=level.layers).map(layer).collect::<Result<_>>()?,
            upsample: (at_level > 0).then(upsample).transpose()?,
        })
    }

    /// `[N, channels before, h, w]` to `[N, channels, h', w']`, the size of the last state that is left of what the way
    /// down kept: twice the size, or one less where that was odd.
    pub fn forward(
        &self,
        x: Tensor,
        condition: Condition,
        kept: &mut Vec<Tensor>,
    ) -> Result<Tensor> {
        let spent = || Error::Config("the way up is longer than the way down".to_owned());
        let mut x = x;
        for layer in &self.layers {
            let state = kept.pop().ok_or_else(spent)?;
            x = layer.forward(&Tensor::f_cat(&[x, state], 1)?, condition)?;
        }
        if let Some(upsample) = &self.upsample {
            let (_, _, height, width) = kept.last().ok_or_else(spent)?.size4()?;
            x = upsample.forward(&x, [height, width])?;
        }
        Ok(x)
    }
}
