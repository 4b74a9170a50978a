//! Attention among the pixels of a level, and from them to the text.

use medfocus_torch::nn::{LayerNorm, Linear, fused_attention, merge_heads, split_heads};
use medfocus_torch::tch::Tensor;
use medfocus_torch::weights::Weights;

use super::config::{Config, Level};
use crate::Result;
use crate::diffusers::layers::{Conv, GroupNorm};

/// Epsilon of the norms of a transformer, whatever the configuration says.
const GROUP_NORM_EPS: f64 = 1e-6;
const LAYER_NORM_EPS: f64 = 1e-5;

/// The layers of one place of a level, between two projections, added to their input.
#[derive(Debug)]
pub struct Transformer {
    norm: GroupNorm,
    project_in: Conv,
    layers: Vec<Layer>,
    project_out: Conv,
}

impl Transformer {
    /// Takes `{name}.norm`, `.proj_in`, `.transformer_blocks.N` and `.proj_out`. `only_cross` layers look at the text
    /// with their first attention, too.
    pub fn new(
        weights: &Weights,
        name: &str,
        config: &Config,
        level: &Level,
        only_cross: bool,
    ) -> Result<Self> {
        let (width, leaf) = (level.channels, |leaf: &str| format!("{name}.{leaf}"));
        let project = if config.use_linear_projection {
            Conv::linear
        } else {
            Conv::pointwise
        };
        let groups = config.norm_num_groups;
        let text = config.cross_attention_dim;
        let layer = |number| {
            let name = format!("{name}.transformer_blocks.{number}");
            Layer::new(weights, &name, level, text, only_cross)
        };
        Ok(Self {
            norm: GroupNorm::new(weights, &leaf("norm"), width, groups, GROUP_NORM_EPS)?,
            project_in: project(weights, &leaf("proj_in"), width, width)?,
            layers: (0..level.depth).map(layer).collect::<Result<_>>()?,
            project_out: project(weights, &leaf("proj_out"), width, width)?,
        })
    }

    /// `[N, channels, h, w]` to the same shape, given text states `[N, tokens, width]`.
    pub fn forward(&self, x: &Tensor, text: &Tensor) -> Result<Tensor> {
        let inner = self.project_in.forward(&self.norm.forward(x)?)?;
        let mut tokens = inner.f_flatten(2, -1)?.f_transpose(1, 2)?.f_contiguous()?;
        for layer in &self.layers {
            tokens = layer.forward(&tokens, text)?;
        }
        let inner = tokens.f_transpose(1, 2)?.f_reshape(x.size())?;
        Ok(self.project_out.forward(&inner)?.f_add(x)?)
    }
}

/// Two attentions and an MLP, each behind a norm, each added to its input.
#[derive(Debug)]
struct Layer {
    norm1: LayerNorm,
    attention1: Attention,
    only_cross: bool,
    norm2: LayerNorm,
    attention2: Attention,
    norm3: LayerNorm,
    mlp_in: Linear,
    mlp_out: Linear,
}

impl Layer {
    /// Takes `{name}.norm1`, `.attn1`, `.norm2`, `.attn2`, `.norm3`, `.ff.net.0.proj` and `.ff.net.2`.
    fn new(
        weights: &Weights,
        name: &str,
        level: &Level,
        text: i64,
        only_cross: bool,
    ) -> Result<Self> {
        let (width, leaf) = (level.channels, |leaf: &str| format!("{name}.{leaf}"));
        let norm = |name: &str| LayerNorm::new(weights, &leaf(name), width, LAYER_NORM_EPS);
        let attention = |name: &str, context| {
            Attention::new(weights, &leaf(name), [width, context], level.heads)
        };
        let linear =
            |name: &str, inputs, outputs| Linear::new(weights, &leaf(name), inputs, outputs, true);
        Ok(Self {
            norm1: norm("norm1")?,
            attention1: attention("attn1", if only_cross { text } else { width })?,
            only_cross,
            norm2: norm("norm2")?,
            attention2: attention("attn2", text)?,
            norm3: norm("norm3")?,
            mlp_in: linear("ff.net.0.proj", width, 8 * width)?,
            mlp_out: linear("ff.net.2", 4 * width, width)?,
        })
    }

    /// `[N, pixels, channels]` to the same shape.
    fn forward(&self, x: &Tensor, text: &Tensor) -> Result<Tensor> {
        let normed = self.norm1.forward(x)?;
        let context = if self.only_cross { text } else { &normed };
        let x = x.f_add(&self.attention1.forward(&normed, context)?)?;
        let normed = self.norm2.forward(&x)?;
        let x = x.f_add(&self.attention2.forward(&normed, text)?)?;
        let inner = self.mlp_in.forward(&self.norm3.forward(&x)?)?;
        let half = inner.size3()?.2 / 2;
        let gate = inner.f_narrow(-1, half, half)?.f_gelu("none")?;
        let inner = inner.f_narrow(-1, 0, half)?.f_mul(&gate)?;
        Ok(x.f_add(&self.mlp_out.forward(&inner)?)?)
    }
}

/// Attention from pixels to a context.
#[derive(Debug)]
struct Attention {
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
    heads: i64,
    scale: f64,
}

impl Attention {
    /// Takes `{name}.to_q`, `.to_k` and `.to_v`, all without biases, and `.to_out.0`.
    fn new(weights: &Weights, name: &str, [width, context]: [i64; 2], heads: i64) -> Result<Self> {
        let linear = |leaf: &str, inputs, bias| {
            Linear::new(weights, &format!("{name}.{leaf}"), inputs, width, bias)
        };
        Ok(Self {
            query: linear("to_q", width, false)?,
            key: linear("to_k", context, false)?,
            value: linear("to_v", context, false)?,
            out: linear("to_out.0", width, true)?,
            heads,
            scale: ((width / heads) as f64).powf(-0.5),
        })
    }

    /// `[N, pixels, width]` to the same shape; the context is `[N, tokens, width of the context]`.
    fn forward(&self, x: &Tensor, context: &Tensor) -> Result<Tensor> {
        let split = |linear: &Linear, of: &Tensor| split_heads(&linear.forward(of)?, self.heads);
        let query = split(&self.query, x)?;
        let (key, value) = (split(&self.key, context)?, split(&self.value, context)?);
        let mixed = fused_attention(&query, &key, &value, None, self.scale)?;
        self.out.forward(&merge_heads(&mixed)?)
    }
}
