//! The coarsest level, the same in encoder and decoder.

use medfocus_torch::nn::{Linear, fused_attention};
use medfocus_torch::tch::Tensor;
use medfocus_torch::weights::Weights;

use super::config::{Config, EPS};
use crate::Result;
use crate::diffusers::layers::GroupNorm;
use crate::diffusers::resnet::Resnet;

/// A residual block, attention, a residual block.
#[derive(Debug)]
pub struct Middle {
    before: Resnet,
    attention: Attention,
    after: Resnet,
}

impl Middle {
    /// Takes `{name}.mid_block.resnets.0`, `.attentions.0` and `.resnets.1`.
    pub fn new(weights: &Weights, name: &str, config: &Config) -> Result<Self> {
        let leaf = |leaf: &str| format!("{name}.mid_block.{leaf}");
        let width = config.coarsest();
        let resnet = |name: &str| Resnet::new(weights, &leaf(name), width, width, config.resnet());
        Ok(Self {
            before: resnet("resnets.0")?,
            attention: Attention::new(weights, &leaf("attentions.0"), config)?,
            after: resnet("resnets.1")?,
        })
    }

    /// `[N, channels, h, w]` to the same shape.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = self.before.forward(x, None)?;
        self.after.forward(&self.attention.forward(&x)?, None)
    }
}

/// Attention of one head among all pixels, behind a norm, added to its input.
#[derive(Debug)]
struct Attention {
    norm: GroupNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
    scale: f64,
}

impl Attention {
    /// Takes `{name}.group_norm` and `.to_q`, `.to_k`, `.to_v`, `.to_out.0`, which checkpoints of 2022 call `.query`,
    /// `.key`, `.value`, `.proj_attn`.
    fn new(weights: &Weights, name: &str, config: &Config) -> Result<Self> {
        let (width, groups) = (config.coarsest(), config.norm_num_groups);
        let old = weights.contains(&format!("{name}.query.weight"));
        let linear = |new_leaf: &str, old_leaf: &str| {
            let leaf = if old { old_leaf } else { new_leaf };
            Linear::new(weights, &format!("{name}.{leaf}"), width, width, true)
        };
        Ok(Self {
            norm: GroupNorm::new(weights, &format!("{name}.group_norm"), width, groups, EPS)?,
            query: linear("to_q", "query")?,
            key: linear("to_k", "key")?,
            value: linear("to_v", "value")?,
            out: linear("to_out.0", "proj_attn")?,
            scale: (width as f64).powf(-0.5),
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let pixels = self.norm.forward(x)?.f_flatten(2, -1)?.f_transpose(1, 2)?;
        let pixels = pixels.f_contiguous()?;
        let project =
            |linear: &Linear| -> Result<Tensor> { Ok(linear.forward(&pixels)?.f_unsqueeze(1)?) };
        let (query, key) = (project(&self.query)?, project(&self.key)?);
        let mixed = fused_attention(&query, &key, &project(&self.value)?, None, self.scale)?;
        let out = self.out.forward(&mixed.f_squeeze_dim(1)?)?;
        Ok(out.f_transpose(1, 2)?.f_reshape(x.size())?.f_add(x)?)
    }
}
