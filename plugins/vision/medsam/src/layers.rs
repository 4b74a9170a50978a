//! Layers that the image encoder and the mask decoder share.

use medfocus_torch::nn::{Activation, LayerNorm, Linear};
use medfocus_torch::tch::Tensor;
use medfocus_torch::weights::Weights;

use crate::Result;

/// Epsilon of the norms over channels, whatever the configuration says.
pub const CHANNEL_NORM_EPS: f64 = 1e-6;

/// Two linear maps with an activation between them.
#[derive(Debug)]
pub struct Mlp {
    lin1: Linear,
    lin2: Linear,
    activation: Activation,
}

impl Mlp {
    /// Takes `{name}.lin1` (`width` to `inner`) and `{name}.lin2` (back).
    pub fn new(
        weights: &Weights,
        name: &str,
        width: i64,
        inner: i64,
        activation: Activation,
    ) -> Result<Self> {
        Ok(Self {
            lin1: Linear::new(weights, &format!("{name}.lin1"), width, inner, true)?,
            lin2: Linear::new(weights, &format!("{name}.lin2"), inner, width, true)?,
            activation,
        })
    }

    /// `[.., width]` to the same shape.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let inner = self.activation.apply(&self.lin1.forward(x)?)?;
        self.lin2.forward(&inner)
    }
}

/// Normalises every place of `[batch, channels, height, width]` over its channels.
pub fn channel_norm(norm: &LayerNorm, x: &Tensor) -> Result<Tensor> {
    let last = norm.forward(&x.f_permute([0, 2, 3, 1])?)?;
    Ok(last.f_permute([0, 3, 1, 2])?)
}
