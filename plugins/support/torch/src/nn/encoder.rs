//! The layer of CLIP's towers and of every encoder with their parameter names.

use tch::Tensor;

use super::{Activation, LayerNorm, Linear, fused_attention, merge_heads, split_heads};
use crate::Result;
use crate::weights::Weights;

/// What the layers of an encoder have in common.
#[derive(Debug, Clone, Copy)]
pub struct EncoderShape {
    /// Width of a token.
    pub width: i64,
    /// Width inside the MLP.
    pub inner: i64,
    /// Attention heads.
    pub heads: i64,
    /// Epsilon of the norms.
    pub eps: f64,
    /// Activation of the MLP.
    pub activation: Activation,
}

/// Attention, then two linear maps with an activation between them; each behind a norm, each added to its input.
#[derive(Debug)]
pub struct EncoderLayer {
    norm1: LayerNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
    norm2: LayerNorm,
    fc1: Linear,
    fc2: Linear,
    shape: EncoderShape,
}

impl EncoderLayer {
    /// Takes `{name}.layer_norm1`, `.self_attn.{q,k,v,out}_proj`, `.layer_norm2` and `.mlp.fc{1,2}`.
    pub fn new(weights: &Weights, name: &str, shape: EncoderShape) -> Result<Self> {
        let EncoderShape {
            width, inner, eps, ..
        } = shape;
        let norm = |leaf: &str| LayerNorm::new(weights, &format!("{name}.{leaf}"), width, eps);
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
            fc1: linear("mlp.fc1", width, inner)?,
            fc2: linear("mlp.fc2", inner, width)?,
            shape,
        })
    }

    /// `[batch, tokens, width]` to the same shape. `allowed` is a boolean mask `[tokens, tokens]`, true where a query
    /// (its row) may see a key.
    pub fn forward(&self, x: &Tensor, allowed: Option<&Tensor>) -> Result<Tensor> {
        let EncoderShape { width, heads, .. } = self.shape;
        let normed = self.norm1.forward(x)?;
        let split = |projection: &Linear| split_heads(&projection.forward(&normed)?, heads);
        let (q, k, v) = (split(&self.query)?, split(&self.key)?, split(&self.value)?);
        let scale = ((width / heads) as f64).powf(-0.5);
        let mixed = merge_heads(&fused_attention(&q, &k, &v, allowed, scale)?)?;
        let x = x.f_add(&self.out.forward(&mixed)?)?;
        let inner = self.fc1.forward(&self.norm2.forward(&x)?)?;
        let inner = self.shape.activation.apply(&inner)?;
        Ok(x.f_add(&self.fc2.forward(&inner)?)?)
    }
}
