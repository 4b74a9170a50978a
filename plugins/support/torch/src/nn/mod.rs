//! The layers every transformer is made of, in the fallible operations of libtorch.
//!
//! Nothing here decides whether gradients are recorded: that follows from the tensors and from
//! [`crate::grad::GradMode`].

mod activation;
mod attention;
mod encoder;
mod mlp;
mod norm;
mod patches;
mod rotary;

use tch::Tensor;

use crate::Result;
use crate::weights::Weights;

pub use activation::Activation;
pub use attention::{
    attention_map, blocked_score, fused_attention, merge_heads, repeat_heads, split_heads,
};
pub use encoder::{EncoderLayer, EncoderShape};
pub use mlp::GatedMlp;
pub use norm::{LayerNorm, RmsNorm};
pub use patches::Patches;
pub use rotary::{Rotary, frequencies};

/// `y = x Wᵀ + b`.
#[derive(Debug)]
pub struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Linear {
    /// Takes `{name}.weight [outputs, inputs]` and, if there is one, `{name}.bias [outputs]`.
    pub fn new(
        weights: &Weights,
        name: &str,
        inputs: i64,
        outputs: i64,
        bias: bool,
    ) -> Result<Self> {
        Ok(Self {
            weight: weights.get(&format!("{name}.weight"), &[outputs, inputs])?,
            bias: bias
                .then(|| weights.get(&format!("{name}.bias"), &[outputs]))
                .transpose()?,
        })
    }

    /// `[.., inputs]` to `[.., outputs]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.f_linear(&self.weight, self.bias.as_ref())?)
    }
}
