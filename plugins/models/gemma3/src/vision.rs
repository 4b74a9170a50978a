//! The SigLIP image tower (`modeling_siglip.py`): patches to features, no pooling head.

use medfocus_torch::nn::{LayerNorm, Linear, fused_attention, merge_heads, split_heads};
use medfocus_torch::tch::Tensor;
use medfocus_torch::weights::Weights;

use crate::Result;
use crate::config::VisionConfig;

/// The tower.
#[derive(Debug)]
pub struct VisionTower {
    patch_weight: Tensor,
    patch_bias: Tensor,
    positions: Tensor,
    patch_size: i64,
    layers: Vec<EncoderLayer>,
    post_norm: LayerNorm,
}

#[derive(Debug)]
struct EncoderLayer {
    norm1: LayerNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
    norm2: LayerNorm,
    fc1: Linear,
    fc2: Linear,
    heads: i64,
    scale: f64,
}

impl VisionTower {
    /// Takes its parameters under `base`.
    pub fn new(config: &VisionConfig, weights: &Weights, base: &str) -> Result<Self> {
        let (width, patch) = (config.hidden_size, config.patch_size);
        let patches = config.patches_per_side().pow(2);
        Ok(Self {
            patch_weight: weights.get(
                &format!("{base}.embeddings.patch_embedding.weight"),
                &[width, config.num_channels, patch, patch],
            )?,
            patch_bias: weights
                .get(&format!("{base}.embeddings.patch_embedding.bias"), &[width])?,
            positions: weights.get(
                &format!("{base}.embeddings.position_embedding.weight"),
                &[patches, width],
            )?,
            patch_size: patch,
            layers: (0..config.num_hidden_layers)
                .map(|layer| {
                    EncoderLayer::new(config, weights, &format!("{base}.encoder.layers.{layer}"))
                })
                .collect::<Result<_>>()?,
            post_norm: LayerNorm::new(
                weights,
                &format!("{base}.post_layernorm"),
                width,
                config.layer_norm_eps,
            )?,
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
            None => self.embed(x),
            Some(layer) => match self.layers.get(layer) {
                Some(layer) => layer.forward(x),
                None => Ok(self.post_norm.forward(x)?),
            },
        }
    }

    fn embed(&self, pixels: &Tensor) -> Result<Tensor> {
        let patches = pixels.f_conv2d(
            &self.patch_weight,
            Some(&self.patch_bias),
            self.patch_size,
            0,
            1,
            1,
        )?;
        Ok(patches
            .f_flatten(2, -1)?
            .f_transpose(1, 2)?
            // Sums keep the layout of their parts, and every layer would pay for a transposed one.
            .f_contiguous()?
            .f_add(&self.positions)?)
    }
}

impl EncoderLayer {
    fn new(config: &VisionConfig, weights: &Weights, name: &str) -> Result<Self> {
        let width = config.hidden_size;
        let norm = |leaf: &str| {
            LayerNorm::new(
                weights,
                &format!("{name}.{leaf}"),
                width,
                config.layer_norm_eps,
            )
        };
        let linear = |leaf: &str, inputs, outputs| {
            Linear::new(weights, &format!("{name}.{leaf}"), inputs, outputs, true)
        };
        Ok(Self {
            norm1: norm("layer_norm1")?,
            query: linear("self_attn.q_proj", width, width)?,
            key: linear("self_attn.k_proj", width, width)?,
            value: linear("self_attn.v_proj", width, width)?,
            out: linear("self_attn.out_proj", width, width)?,
            norm2: norm("layer_norm2")?,
            fc1: linear("mlp.fc1", width, config.intermediate_size)?,
            fc2: linear("mlp.fc2", config.intermediate_size, width)?,
            heads: config.num_attention_heads,
            scale: ((width / config.num_attention_heads) as f64).powf(-0.5),
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let normed = self.norm1.forward(x)?;
        let heads = |projection: &Linear| split_heads(&projection.forward(&normed)?, self.heads);
        let (q, k, v) = (heads(&self.query)?, heads(&self.key)?, heads(&self.value)?);
        let mixed = merge_heads(&fused_attention(&q, &k, &v, None, self.scale)?)?;
        let x = x.f_add(&self.out.forward(&mixed)?)?;
        let inner = self.fc1.forward(&self.norm2.forward(&x)?)?.f_gelu("tanh")?;
        Ok(x.f_add(&self.fc2.forward(&inner)?)?)
    }
}
