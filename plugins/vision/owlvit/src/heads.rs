//! What is read from a patch's features: how well a phrase describes what is there, and its box.

use medfocus_torch::nn::{Activation, Linear};
use medfocus_torch::tch::{Device, Kind, Tensor};
use medfocus_torch::weights::Weights;

use crate::Result;
use crate::config::Config;

/// Keeps divisions by a norm finite.
const NORM_EPS: f64 = 1e-6;
/// Keeps the logarithms of borders finite.
const BORDER_EPS: f64 = 1e-4;

/// The class head: the angle between image and phrase, shifted and scaled by what the image shows.
#[derive(Debug)]
pub struct ClassHead {
    dense: Linear,
    shift: Linear,
    scale: Linear,
}

impl ClassHead {
    /// Takes its parameters under `class_head`.
    pub fn new(config: &Config, weights: &Weights) -> Result<Self> {
        let linear = |leaf: &str, outputs| {
            let name = format!("class_head.{leaf}");
            Linear::new(weights, &name, config.vision.hidden_size, outputs, true)
        };
        Ok(Self {
            dense: linear("dense0", config.text.hidden_size)?,
            shift: linear("logit_shift", 1)?,
            scale: linear("logit_scale", 1)?,
        })
    }

    /// Features `[images, patches, width]` and phrases `[phrases, projection]` to logits `[images, patches, phrases]`, f32.
    pub fn forward(&self, features: &Tensor, phrases: &Tensor) -> Result<Tensor> {
        let image = direction(&self.dense.forward(features)?)?;
        let cosines = image.f_matmul(&direction(phrases)?.f_transpose(0, 1)?)?;
        let shift = self.shift.forward(features)?;
        let scale = self.scale.forward(features)?.f_elu()?.f_add_scalar(1.0)?;
        Ok(cosines
            .f_add(&shift)?
            .f_mul(&scale)?
            .f_to_kind(Kind::Float)?)
    }
}

/// Vectors along the last axis, divided by their lengths.
fn direction(x: &Tensor) -> Result<Tensor> {
    let norm = x.f_norm_scalaropt_dim(2, [-1], true)?;
    Ok(x.f_div(&norm.f_add_scalar(NORM_EPS)?)?)
}

/// The box head: a box as it differs from the patch's own.
#[derive(Debug)]
pub struct BoxHead {
    dense: [Linear; 3],
    /// The patches' own boxes before the sigmoid, `[patches, 4]`, f32.
    own: Tensor,
}

impl BoxHead {
    /// Takes its parameters under `box_head`; runs on `device`.
    pub fn new(config: &Config, weights: &Weights, device: Device) -> Result<Self> {
        let width = config.vision.hidden_size;
        let linear = |number: usize, outputs| {
            Linear::new(
                weights,
                &format!("box_head.dense{number}"),
                width,
                outputs,
                true,
            )
        };
        Ok(Self {
            dense: [linear(0, width)?, linear(1, width)?, linear(2, 4)?],
            own: own_boxes(config.vision.grid(), device)?,
        })
    }

    /// Features `[images, patches, width]` to boxes `[images, patches, 4]`, f32: the middle's column and row, width and
    /// height, all as shares of the image.
    pub fn forward(&self, features: &Tensor) -> Result<Tensor> {
        let [first, second, last] = &self.dense;
        let inner = Activation::Gelu.apply(&first.forward(features)?)?;
        let inner = Activation::Gelu.apply(&second.forward(&inner)?)?;
        let moved = last
            .forward(&inner)?
            .f_to_kind(Kind::Float)?
            .f_add(&self.own)?;
        Ok(moved.f_sigmoid()?)
    }
}

/// `[grid * grid, 4]`, row by row: each patch's lower right corner in place of its middle, as it was trained, and its size.
fn own_boxes(grid: i64, device: Device) -> Result<Tensor> {
    let float = (Kind::Float, device);
    let corner = Tensor::f_arange_start(1, grid + 1, float)?.f_div_scalar(grid)?;
    let corner = logit(&corner)?;
    let size = logit(&Tensor::f_ones([grid, grid], float)?.f_div_scalar(grid)?)?;
    let x = corner.f_unsqueeze(0)?.f_expand([grid, grid], false)?;
    let y = corner.f_unsqueeze(1)?.f_expand([grid, grid], false)?;
    let boxes = Tensor::f_stack(&[x, y, size.shallow_clone(), size], -1)?;
    Ok(boxes.f_reshape([-1, 4])?)
}

/// The inverse of the sigmoid, kept finite at 0 and 1.
fn logit(share: &Tensor) -> Result<Tensor> {
    let over = share.f_add_scalar(BORDER_EPS)?.f_log()?;
    let under = share.f_neg()?.f_add_scalar(BORDER_EPS)?.f_log1p()?;
    Ok(over.f_sub(&under)?)
}
