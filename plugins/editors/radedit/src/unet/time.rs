//! The timestep as a vector.

use std::f64::consts::LN_10;

use medfocus_torch::nn::Linear;
use medfocus_torch::tch::{Device, Kind, Tensor};
use medfocus_torch::weights::Weights;

use super::config::Config;
use crate::Result;

/// The slowest frequency is this many times slower than the fastest, as a natural logarithm.
const RANGE: f64 = 4.0 * LN_10;

/// Cosines and sines of the timestep (Ho et al. 2020), then two linear maps with SiLU between them.
#[derive(Debug)]
pub struct TimeEmbedding {
    inner: Linear,
    outer: Linear,
    /// Frequencies: half of the input's width.
    half: i64,
    shift: f64,
    cosines_first: bool,
}

impl TimeEmbedding {
    /// Takes `time_embedding.linear_1` and `.linear_2`.
    pub fn new(weights: &Weights, config: &Config) -> Result<Self> {
        let (channels, width) = (config.levels[0].channels, config.time_width);
        Ok(Self {
            inner: Linear::new(weights, "time_embedding.linear_1", channels, width, true)?,
            outer: Linear::new(weights, "time_embedding.linear_2", width, width, true)?,
            half: channels / 2,
            shift: config.freq_shift,
            cosines_first: config.flip_sin_to_cos,
        })
    }

    /// The embedding `[1, width]` in this format; the angles are f32.
    pub fn forward(&self, timestep: i64, (kind, device): (Kind, Device)) -> Result<Tensor> {
        let frequencies = Tensor::f_arange(self.half, (Kind::Float, device))?
            .f_mul_scalar(-RANGE)?
            .f_div_scalar(self.half as f64 - self.shift)?
            .f_exp()?;
        let angles = frequencies.f_mul_scalar(timestep)?;
        let (sines, cosines) = (angles.f_sin()?, angles.f_cos()?);
        let waves = if self.cosines_first {
            [cosines, sines]
        } else {
            [sines, cosines]
        };
        let waves = Tensor::f_cat(&waves, 0)?.f_unsqueeze(0)?.f_to_kind(kind)?;
        self.outer.forward(&self.inner.forward(&waves)?.f_silu()?)
    }
}
