//! Normalisation over the last axis.

use tch::{Kind, Tensor};

use crate::weights::Weights;
use crate::{Result, relevance};

/// Layer normalisation over the last axis, with scale and shift (Ba et al. 2016).
#[derive(Debug)]
pub struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    width: i64,
    eps: f64,
}

impl LayerNorm {
    /// Takes `{name}.weight` and `{name}.bias`, both `[width]`, which the oldest checkpoints call `gamma` and `beta`.
    pub fn new(weights: &Weights, name: &str, width: i64, eps: f64) -> Result<Self> {
        let get = |today: &str, once: &str| {
            let old = weights.contains(&format!("{name}.{once}"));
            weights.get(
                &format!("{name}.{}", if old { once } else { today }),
                &[width],
            )
        };
        Ok(Self {
            weight: get("weight", "gamma")?,
            bias: get("bias", "beta")?,
            width,
            eps,
        })
    }

    /// `[.., width]` to the same shape.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.f_layer_norm(
            self.width,
            Some(&self.weight),
            Some(&self.bias),
            self.eps,
            true,
        )?)
    }
}

/// Root mean square normalisation over the last axis (Zhang and Sennrich 2019), the mean taken in f32.
#[derive(Debug)]
pub struct RmsNorm {
    weight: Tensor,
    eps: f64,
    scale: Scale,
}

#[derive(Debug, Clone, Copy)]
enum Scale {
    Plain,
    OnePlus,
}

impl RmsNorm {
    /// `x / rms(x)` rounded to the format of `x`, then times `w` in that format, as Llama and Qwen do it. Takes
    /// `{name}.weight [width]`.
    pub fn plain(weights: &Weights, name: &str, width: i64, eps: f64) -> Result<Self> {
        Self::new(weights, name, width, eps, Scale::Plain)
    }

    /// `x / rms(x) · (1 + w)`, all of it in f32 and rounded once at the end, as Gemma does it. Takes `{name}.weight [width]`.
    pub fn one_plus(weights: &Weights, name: &str, width: i64, eps: f64) -> Result<Self> {
        Self::new(weights, name, width, eps, Scale::OnePlus)
    }

    fn new(weights: &Weights, name: &str, width: i64, eps: f64, scale: Scale) -> Result<Self> {
        Ok(Self {
            weight: weights.get(&format!("{name}.weight"), &[width])?,
            eps,
            scale,
        })
    }

    /// `[.., width]` to the same shape and format.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let kind = x.f_kind()?;
        let wide = x.f_to_kind(Kind::Float)?;
        let mean = wide.f_square()?.f_mean_dim(-1, true, None)?;
        let factor = relevance::factor(mean.f_add_scalar(self.eps)?.f_rsqrt()?)?;
        let normed = wide.f_mul(&factor)?;
        match self.scale {
            Scale::Plain => Ok(normed.f_to_kind(kind)?.f_mul(&self.weight)?),
            Scale::OnePlus => {
                let scale = self.weight.f_to_kind(Kind::Float)?.f_add_scalar(1.0)?;
                Ok(normed.f_mul(&scale)?.f_to_kind(kind)?)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;
    use tch::Device;

    #[test]
    fn either_spelling_of_a_layer_norm_is_read() {
        let tensor = |value: f64| Tensor::full([2], value, (Kind::Float, Device::Cpu));
        let x = Tensor::from_slice(&[1.0_f32, 3.0]);
        let normed = |scale: &str, shift: &str| {
            let named = |leaf: &str| format!("n.{leaf}");
            let tensors = [(named(scale), tensor(2.0)), (named(shift), tensor(0.5))];
            let weights = Weights::from_tensors(HashMap::from(tensors));
            LayerNorm::new(&weights, "n", 2, 0.0)
                .unwrap()
                .forward(&x)
                .unwrap()
        };
        let expected = Tensor::from_slice(&[-1.5_f32, 2.5]);
        assert_eq!(normed("weight", "bias"), expected);
        assert_eq!(normed("gamma", "beta"), expected);
    }

    /// Where the scale is far from one, rounding before or after it shows in bf16.
    #[test]
    fn each_norm_rounds_where_its_family_rounds() {
        let narrow = |values: &[f32]| Tensor::from_slice(values).to_kind(Kind::BFloat16);
        let x = narrow(&[0.3, -1.7, 2.9, 0.011]);
        let w = narrow(&[2.34, -0.41, 1.09, 3.3]);
        let weights =
            Weights::from_tensors(HashMap::from([("n.weight".to_owned(), w.shallow_clone())]));
        let wide = x.to_kind(Kind::Float);
        let rms = (wide.square().mean(None) + 1e-6).sqrt();
        let plain = (&wide / &rms).to_kind(Kind::BFloat16) * &w;
        let one_plus = (&wide / &rms * (w.to_kind(Kind::Float) + 1.0)).to_kind(Kind::BFloat16);
        let found = RmsNorm::plain(&weights, "n", 4, 1e-6).unwrap();
        assert_eq!(found.forward(&x).unwrap(), plain);
        let found = RmsNorm::one_plus(&weights, "n", 4, 1e-6).unwrap();
        assert_eq!(found.forward(&x).unwrap(), one_plus);
        assert_eq!(x.device(), Device::Cpu);
    }
}
