//! Rotary position embedding (Su et al. 2021), half-split convention.
//!
//! Tables are computed in f32 and rounded to the model's format at the end; computing them in bf16
//! would move every token (the reference keeps its frequencies in f32 for the same reason).

use medfocus_torch::tch::{Device, Kind, Tensor};

use crate::Result;
use crate::config::Rope;

/// Cosines and sines of a run of consecutive positions.
#[derive(Debug)]
pub struct Rotary {
    cos: Tensor,
    sin: Tensor,
}

impl Rotary {
    /// Tables `[count, width]` of the positions `first .. first + count`.
    pub fn new(
        rope: Rope,
        width: i64,
        first: i64,
        count: i64,
        options: (Kind, Device),
    ) -> Result<Self> {
        let (kind, device) = options;
        let float = (Kind::Float, device);
        // inv_freq_i = theta^(-2i / width) / factor
        let exponents = Tensor::f_arange_start_step(0, width, 2, float)?.f_div_scalar(width)?;
        let inverse = Tensor::f_pow_scalar(rope.theta, &exponents)?
            .f_reciprocal()?
            .f_div_scalar(rope.factor)?;
        let positions = Tensor::f_arange_start(first, first + count, float)?;
        let angles = positions.f_unsqueeze(1)?.f_mul(&inverse.f_unsqueeze(0)?)?;
        let angles = Tensor::f_cat(&[&angles, &angles], -1)?;
        Ok(Self {
            cos: angles.f_cos()?.f_to_kind(kind)?,
            sin: angles.f_sin()?.f_to_kind(kind)?,
        })
    }

    /// Rotates queries or keys `[batch, heads, count, width]`.
    pub fn rotate(&self, x: &Tensor) -> Result<Tensor> {
        let halves = x.f_chunk(2, -1)?;
        let [first, second] = halves.as_slice() else {
            return Err(crate::Error::Config(
                "head_dim is too small to be rotated".to_owned(),
            ));
        };
        let turned = Tensor::f_cat(&[&second.f_neg()?, first], -1)?;
        Ok(x.f_mul(&self.cos)?.f_add(&turned.f_mul(&self.sin)?)?)
    }

    /// Cosine and sine tables, `[count, width]`.
    pub fn tables(&self) -> (&Tensor, &Tensor) {
        (&self.cos, &self.sin)
    }
}
