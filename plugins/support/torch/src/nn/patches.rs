//! Images cut into patches.

use tch::Tensor;

use crate::Result;
use crate::weights::Weights;

/// A linear map of every patch of an image (Dosovitskiy et al. 2021), as the convolution that checkpoints store.
#[derive(Debug)]
pub struct Patches {
    weight: Tensor,
    bias: Option<Tensor>,
    side: i64,
}

impl Patches {
    /// Takes `{name}.weight [width, channels, side, side]` and, if there is one, `{name}.bias [width]`.
    pub fn new(
        weights: &Weights,
        name: &str,
        channels: i64,
        side: i64,
        width: i64,
        bias: bool,
    ) -> Result<Self> {
        Ok(Self {
            weight: weights.get(&format!("{name}.weight"), &[width, channels, side, side])?,
            bias: bias
                .then(|| weights.get(&format!("{name}.bias"), &[width]))
                .transpose()?,
            side,
        })
    }

    /// Pixels `[images, channels, height, width]` to `[images, patches, width]`, row by row.
    pub fn forward(&self, pixels: &Tensor) -> Result<Tensor> {
        Ok(pixels
            .f_conv2d(&self.weight, self.bias.as_ref(), self.side, 0, 1, 1)?
            .f_flatten(2, -1)?
            .f_transpose(1, 2)?
            // Sums keep the layout of their parts, and every layer would pay for a transposed one.
            .f_contiguous()?)
    }
}
