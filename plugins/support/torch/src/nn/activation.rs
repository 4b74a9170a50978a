//! Activation functions, by the names that configurations give them.

use serde::Deserialize;
use tch::Tensor;

use crate::{Result, relevance};

/// An activation function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Activation {
    /// The Gaussian error linear unit itself.
    #[serde(rename = "gelu")]
    Gelu,
    /// Its approximation by a hyperbolic tangent.
    #[serde(rename = "gelu_pytorch_tanh", alias = "gelu_new")]
    GeluTanh,
    /// Its approximation by a sigmoid, `x σ(1.702 x)`.
    #[serde(rename = "quick_gelu")]
    QuickGelu,
    /// The larger of the number and zero.
    #[serde(rename = "relu")]
    Relu,
    /// `x σ(x)`.
    #[serde(rename = "silu", alias = "swish")]
    Silu,
}

impl Activation {
    /// Element by element.
    pub fn apply(self, x: &Tensor) -> Result<Tensor> {
        relevance::activation(x, |x| self.value(x))
    }

    fn value(self, x: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Self::Gelu => x.f_gelu("none")?,
            Self::GeluTanh => x.f_gelu("tanh")?,
            Self::QuickGelu => x.f_mul(&x.f_mul_scalar(1.702)?.f_sigmoid()?)?,
            Self::Relu => x.f_relu()?,
            Self::Silu => x.f_silu()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of the definitions, computed with f64 outside this crate.
    #[test]
    fn each_follows_its_definition() {
        let x = Tensor::from_slice(&[-3.0, -1.0, 1.0, 3.0]);
        for (name, expected) in [
            (
                "gelu",
                [-0.004_049_69, -0.158_655_25, 0.841_344_75, 2.995_950_31],
            ),
            (
                "gelu_pytorch_tanh",
                [-0.003_637_39, -0.158_808_01, 0.841_191_99, 2.996_362_61],
            ),
            (
                "quick_gelu",
                [-0.018_071_31, -0.154_204_23, 0.845_795_77, 2.981_928_69],
            ),
            ("relu", [0.0, 0.0, 1.0, 3.0]),
            (
                "silu",
                [-0.142_277_62, -0.268_941_42, 0.731_058_58, 2.857_722_38],
            ),
        ] {
            let activation: Activation =
                serde_json::from_value(serde_json::Value::String(name.to_owned())).unwrap();
            let found = activation.apply(&x).unwrap();
            let difference = (found - Tensor::from_slice(&expected)).abs().max();
            assert!(difference.double_value(&[]) < 1e-6, "{name}");
        }
    }
}
