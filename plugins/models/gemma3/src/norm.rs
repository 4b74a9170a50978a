//! Gemma's RMSNorm: everything in f32, the scale stored as its difference from one.

use medfocus_torch::tch::{Kind, Tensor};
use medfocus_torch::weights::Weights;

use crate::Result;

/// `x / rms(x) · (1 + w)` over the last axis, computed in f32 and rounded once at the end.
#[derive(Debug)]
pub struct RmsNorm {
    weight: Tensor,
    eps: f64,
}

impl RmsNorm {
    /// Takes `{name}.weight [width]`.
    pub fn new(weights: &Weights, name: &str, width: i64, eps: f64) -> Result<Self> {
        Ok(Self {
            weight: weights.get(&format!("{name}.weight"), &[width])?,
            eps,
        })
    }

    /// `[.., width]` to the same shape and format.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let wide = x.f_to_kind(Kind::Float)?;
        let mean = wide.f_square()?.f_mean_dim(-1, true, None)?;
        let normed = wide.f_mul(&mean.f_add_scalar(self.eps)?.f_rsqrt()?)?;
        let scale = self.weight.f_to_kind(Kind::Float)?.f_add_scalar(1.0)?;
        Ok(normed.f_mul(&scale)?.f_to_kind(x.f_kind()?)?)
    }
}
