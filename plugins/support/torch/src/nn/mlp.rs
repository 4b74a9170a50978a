//! The gated MLP of Llama and what followed it.

use tch::Tensor;

use super::{Activation, Linear};
use crate::weights::Weights;
use crate::{Result, relevance};

/// `down(activation(gate x) · up x)` (Shazeer 2020).
#[derive(Debug)]
pub struct GatedMlp {
    gate: Linear,
    up: Linear,
    down: Linear,
    activation: Activation,
}

impl GatedMlp {
    /// Takes `{name}.gate_proj`, `.up_proj` and `.down_proj`.
    pub fn new(
        weights: &Weights,
        name: &str,
        width: i64,
        inner: i64,
        bias: bool,
        activation: Activation,
    ) -> Result<Self> {
        let linear = |leaf: &str, inputs, outputs| {
            Linear::new(weights, &format!("{name}.{leaf}"), inputs, outputs, bias)
        };
        Ok(Self {
            gate: linear("gate_proj", width, inner)?,
            up: linear("up_proj", width, inner)?,
            down: linear("down_proj", inner, width)?,
            activation,
        })
    }

    /// `[.., width]` to the same shape.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let gate = self.activation.apply(&self.gate.forward(x)?)?;
        self.down
            .forward(&relevance::gated(&gate, &self.up.forward(x)?)?)
    }
}
