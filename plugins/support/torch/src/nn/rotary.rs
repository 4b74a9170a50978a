//! Rotary position embedding (Su et al. 2021), half-split convention.

use tch::{Device, Kind, Tensor};

use crate::{Error, Result};

/// The frequencies `theta^(-2i / width)` of the pairs of `width` channels, `[width / 2]`, f32.
pub fn frequencies(theta: f64, width: i64, device: Device) -> Result<Tensor> {
    let float = (Kind::Float, device);
    let exponents = Tensor::f_arange_start_step(0, width, 2, float)?.f_div_scalar(width)?;
    Ok(Tensor::f_pow_scalar(theta, &exponents)?.f_reciprocal()?)
}

/// Cosines and sines of the angles of some tokens.
///
/// Computed in f32 and rounded to the model's format at the end: angles in bf16 would move every token.
#[derive(Debug)]
pub struct Rotary {
    cos: Tensor,
    sin: Tensor,
}

impl Rotary {
    /// Tables for angles `[tokens, width / 2]`, one for each pair of channels; f32 in, this format out.
    pub fn new(angles: &Tensor, kind: Kind) -> Result<Self> {
        let angles = Tensor::f_cat(&[angles, angles], -1)?;
        Ok(Self {
            cos: angles.f_cos()?.f_to_kind(kind)?,
            sin: angles.f_sin()?.f_to_kind(kind)?,
        })
    }

    /// Rotates queries or keys `[batch, heads, tokens, width]`.
    pub fn rotate(&self, x: &Tensor) -> Result<Tensor> {
        let halves = x.f_chunk(2, -1)?;
        let [first, second] = halves.as_slice() else {
            return Err(Error::Config(
                "head_dim is too small to be rotated".to_owned(),
            ));
        };
        let turned = Tensor::f_cat(&[&second.f_neg()?, first], -1)?;
        Ok(x.f_mul(&self.cos)?.f_add(&turned.f_mul(&self.sin)?)?)
    }

    /// Cosine and sine tables, `[tokens, width]`.
    pub fn tables(&self) -> (&Tensor, &Tensor) {
        (&self.cos, &self.sin)
    }
}
