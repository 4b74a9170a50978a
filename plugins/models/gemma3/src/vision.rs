//! The SigLIP image tower (`modeling_siglip.py`): patches to features, no pooling head.

use medfocus_torch::nn::{Activation, EncoderLayer, EncoderShape, LayerNorm, Patches};
use medfocus_torch::tch::Tensor;
use medfocus_torch::weights::Weights;

use crate::Result;
use crate::config::VisionConfig;

/// The tower.
#[derive(Debug)]
pub struct VisionTower {
    patches: Patches,
    positions: Tensor,
    layers: Vec<EncoderLayer>,
    post_norm: LayerNorm,
}

impl VisionTower {
    /// Takes its parameters under `base`.
    pub fn new(config: &VisionConfig, weights: &Weights, base: &str) -> Result<Self> {
        let (width, eps) = (config.hidden_size, config.layer_norm_eps);
        let shape = EncoderShape {
            width,
            inner: config.intermediate_size,
            heads: config.num_attention_heads,
            eps,
            activation: Activation::GeluTanh,
        };
        let layer =
            |layer| EncoderLayer::new(weights, &format!("{base}.encoder.layers.{layer}"), shape);
        Ok(Self {
            patches: Patches::new(
                weights,
                &format!("{base}.embeddings.patch_embedding"),
                config.num_channels,
                config.patch_size,
                width,
                true,
            )?,
            positions: weights.get(
                &format!("{base}.embeddings.position_embedding.weight"),
                &[config.patches_per_side().pow(2), width],
            )?,
            layers: (0..config.num_hidden_layers)
                .map(layer)
                .collect::<Result<_>>()?,
            post_norm: LayerNorm::new(weights, &format!("{base}.post_layernorm"), width, eps)?,
        })
    }

    /// Normalised pixels `[images, 3, side, side]` to patch features `[images, patches, width]`, row by row.
    pub fn forward(&self, pixels: &Tensor) -> Result<Tensor> {
        (0..self.stages()).try_fold(pixels.shallow_clone(), |x, stage| self.stage(stage, &x))
    }

    /// Number of stages: the patch embedding, each layer, the last norm.
    pub fn stages(&self) -> usize {
        self.layers.len() + 2
    }

    /// Runs one stage on the output of the one before.
    pub fn stage(&self, stage: usize, x: &Tensor) -> Result<Tensor> {
        match stage.checked_sub(1) {
            None => Ok(self.patches.forward(x)?.f_add(&self.positions)?),
            Some(layer) => match self.layers.get(layer) {
                Some(layer) => layer.forward(x, None),
                None => self.post_norm.forward(x),
            },
        }
    }
}
