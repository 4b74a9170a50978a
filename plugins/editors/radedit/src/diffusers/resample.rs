//! Images halved and doubled.

use medfocus_torch::tch::Tensor;
use medfocus_torch::weights::Weights;

use super::layers::Conv;
use crate::Result;

/// Every second window of a convolution.
#[derive(Debug)]
pub struct Downsample {
    conv: Conv,
    padding: i64,
}

impl Downsample {
    /// Takes `{name}.conv`. With a `padding` of 1 the image is padded on all sides, with 0 by one on the right and
    /// below.
    pub fn new(weights: &Weights, name: &str, channels: i64, padding: i64) -> Result<Self> {
        Ok(Self {
            conv: Conv::halving(weights, &format!("{name}.conv"), channels, padding)?,
            padding,
        })
    }

    /// `[N, channels, h, w]` to half of each side, rounded up with padding 1 and down with padding 0.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match self.padding {
            0 => self.conv.forward(&x.f_constant_pad_nd([0, 1, 0, 1])?),
            _ => self.conv.forward(x),
        }
    }
}

/// Nearest neighbours, then a convolution.
#[derive(Debug)]
pub struct Upsample {
    conv: Conv,
}

impl Upsample {
    /// Takes `{name}.conv`.
    pub fn new(weights: &Weights, name: &str, channels: i64) -> Result<Self> {
        Ok(Self {
            conv: Conv::same(weights, &format!("{name}.conv"), channels, channels)?,
        })
    }

    /// `[N, channels, h, w]` to this height and width.
    pub fn forward(&self, x: &Tensor, size: [i64; 2]) -> Result<Tensor> {
        self.conv
            .forward(&x.f_upsample_nearest2d(size, None, None)?)
    }
}
