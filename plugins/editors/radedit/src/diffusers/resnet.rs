//! The residual block of both networks.

use medfocus_torch::nn::Linear;
use medfocus_torch::tch::Tensor;
use medfocus_torch::weights::Weights;

use super::layers::{Conv, GroupNorm};
use crate::Result;

/// What the residual blocks of a network have in common.
#[derive(Debug, Clone, Copy)]
pub struct ResnetShape {
    /// Groups of the norms.
    pub groups: i64,
    /// Epsilon of the norms.
    pub eps: f64,
    /// Width of the embedding of the timestep, if the network knows of one.
    pub time: Option<i64>,
    /// The sum is divided by this.
    pub scale: f64,
}

/// Twice a norm, SiLU and a convolution, added to the input; the timestep shifts the channels in between.
#[derive(Debug)]
pub struct Resnet {
    norm1: GroupNorm,
    conv1: Conv,
    time: Option<Linear>,
    norm2: GroupNorm,
    conv2: Conv,
    shortcut: Option<Conv>,
    scale: f64,
}

impl Resnet {
    /// Takes `{name}.norm1`, `.conv1`, `.norm2`, `.conv2`, with a timestep `.time_emb_proj`, and where the channels
    /// change `.conv_shortcut`.
    pub fn new(
        weights: &Weights,
        name: &str,
        inputs: i64,
        outputs: i64,
        shape: ResnetShape,
    ) -> Result<Self> {
        let leaf = |leaf: &str| format!("{name}.{leaf}");
        let norm = |name: &str, channels| {
            GroupNorm::new(weights, &leaf(name), channels, shape.groups, shape.eps)
        };
        Ok(Self {
            norm1: norm("norm1", inputs)?,
            conv1: Conv::same(weights, &leaf("conv1"), inputs, outputs)?,
            time: shape
                .time
                .map(|width| Linear::new(weights, &leaf("time_emb_proj"), width, outputs, true))
                .transpose()?,
            norm2: norm("norm2", outputs)?,
            conv2: Conv::same(weights, &leaf("conv2"), outputs, outputs)?,
            shortcut: (inputs != outputs)
                .then(|| Conv::pointwise(weights, &leaf("conv_shortcut"), inputs, outputs))
                .transpose()?,
            scale: shape.scale,
        })
    }

    /// `[N, inputs, h, w]` to `[N, outputs, h, w]`; the embedding of the timestep is `[1 or N, width]`.
    pub fn forward(&self, x: &Tensor, time: Option<&Tensor>) -> Result<Tensor> {
        let mut inner = self.conv1.forward(&self.norm1.forward(x)?.f_silu()?)?;
        if let (Some(linear), Some(time)) = (&self.time, time) {
            let shift = linear.forward(&time.f_silu()?)?;
            inner = inner.f_add(&shift.f_unsqueeze(-1)?.f_unsqueeze(-1)?)?;
        }
        let inner = self.conv2.forward(&self.norm2.forward(&inner)?.f_silu()?)?;
        let sum = match &self.shortcut {
            Some(shortcut) => shortcut.forward(x)?.f_add(&inner)?,
            None => x.f_add(&inner)?,
        };
        Ok(sum.f_div_scalar(self.scale)?)
    }
}
