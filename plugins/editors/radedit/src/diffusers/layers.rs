//! Convolutions and norms of images.

use medfocus_torch::tch::{Device, Kind, Tensor};
use medfocus_torch::weights::Weights;

use crate::Result;

/// A convolution with a bias.
#[derive(Debug)]
pub struct Conv {
    weight: Tensor,
    bias: Tensor,
    stride: i64,
    padding: i64,
}

impl Conv {
    /// Of windows of 3 x 3, the size kept. Takes `{name}.weight [outputs, inputs, 3, 3]` and `{name}.bias`.
    pub fn same(weights: &Weights, name: &str, inputs: i64, outputs: i64) -> Result<Self> {
        Self::new(weights, name, &[outputs, inputs, 3, 3], 1, 1)
    }

    /// Of windows of 3 x 3, every second one. Takes `{name}.weight [channels, channels, 3, 3]` and `{name}.bias`.
    pub fn halving(weights: &Weights, name: &str, channels: i64, padding: i64) -> Result<Self> {
        Self::new(weights, name, &[channels, channels, 3, 3], 2, padding)
    }

    /// Of every pixel by itself. Takes `{name}.weight [outputs, inputs, 1, 1]` and `{name}.bias`.
    pub fn pointwise(weights: &Weights, name: &str, inputs: i64, outputs: i64) -> Result<Self> {
        Self::new(weights, name, &[outputs, inputs, 1, 1], 1, 0)
    }

    /// The same, stored as a linear map: takes `{name}.weight [outputs, inputs]` and `{name}.bias`.
    pub fn linear(weights: &Weights, name: &str, inputs: i64, outputs: i64) -> Result<Self> {
        let flat = Self::new(weights, name, &[outputs, inputs], 1, 0)?;
        Ok(Self {
            weight: flat.weight.f_reshape([outputs, inputs, 1, 1])?,
            ..flat
        })
    }

    fn new(
        weights: &Weights,
        name: &str,
        shape: &[i64],
        stride: i64,
        padding: i64,
    ) -> Result<Self> {
        Ok(Self {
            weight: weights.get(&format!("{name}.weight"), shape)?,
            bias: weights.get(&format!("{name}.bias"), &shape[..1])?,
            stride,
            padding,
        })
    }

    /// `[N, inputs, h, w]` to `[N, outputs, h', w']`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.f_conv2d(
            &self.weight,
            Some(&self.bias),
            self.stride,
            self.padding,
            1,
            1,
        )?)
    }

    /// The number format and the device that it computes with.
    pub fn format(&self) -> Result<(Kind, Device)> {
        Ok((self.weight.f_kind()?, self.weight.device()))
    }
}

/// Normalisation of groups of channels (Wu and He 2018), with scale and shift.
#[derive(Debug)]
pub struct GroupNorm {
    weight: Tensor,
    bias: Tensor,
    groups: i64,
    eps: f64,
}

impl GroupNorm {
    /// Takes `{name}.weight` and `{name}.bias`, both `[channels]`.
    pub fn new(
        weights: &Weights,
        name: &str,
        channels: i64,
        groups: i64,
        eps: f64,
    ) -> Result<Self> {
        Ok(Self {
            weight: weights.get(&format!("{name}.weight"), &[channels])?,
            bias: weights.get(&format!("{name}.bias"), &[channels])?,
            groups,
            eps,
        })
    }

    /// `[N, channels, ..]` to the same shape.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (weight, bias) = (Some(&self.weight), Some(&self.bias));
        Ok(x.f_group_norm(self.groups, weight, bias, self.eps, true)?)
    }
}
