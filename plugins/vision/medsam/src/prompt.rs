//! The prompt encoder: boxes to tokens, and the code of every place of the image.

use std::f64::consts::TAU;

use medfocus_torch::tch::{Device, Kind, Tensor};
use medfocus_torch::weights::Weights;

use crate::config::Config;
use crate::{Error, Result};

const FREQUENCIES: &str = "shared_image_embedding.positional_embedding";
/// The same tensor under another name, which some files hold as well.
const REPEATED: &str = "prompt_encoder.shared_embedding.positional_embedding";

/// The prompt encoder, as far as boxes need it.
#[derive(Debug)]
pub struct PromptEncoder {
    /// Random Fourier frequencies `[2, tokens / 2]`, f32.
    frequencies: Tensor,
    /// What marks a box's first and its second corner, `[2, width]`.
    corners: Tensor,
    no_mask: Tensor,
    image_size: i64,
    grid: i64,
    kind: Kind,
}

impl PromptEncoder {
    /// Takes its parameters under `prompt_encoder`, and the frequencies that it shares with the image.
    ///
    /// What encodes clicks and masks, which nothing here gives, is only checked.
    pub fn new(config: &Config, weights: &Weights) -> Result<Self> {
        let prompt = &config.prompt;
        let width = prompt.hidden_size;
        let pair = [2, config.vision.num_pos_feats];
        let frequencies = weights.get(FREQUENCIES, &pair)?;
        if weights.contains(REPEATED) && !weights.get(REPEATED, &pair)?.f_equal(&frequencies)? {
            return Err(Error::Checkpoint(format!(
                "{REPEATED} differs from {FREQUENCIES}, which it should repeat"
            )));
        }
        let points = (0..prompt.num_point_embeddings)
            .map(|kind| {
                weights.get(
                    &format!("prompt_encoder.point_embed.{kind}.weight"),
                    &[1, width],
                )
            })
            .collect::<medfocus_torch::Result<Vec<_>>>()?;
        check_other_prompts(weights, prompt.mask_input_channels, width)?;
        Ok(Self {
            kind: frequencies.f_kind()?,
            frequencies: frequencies.f_to_kind(Kind::Float)?,
            corners: Tensor::f_cat(&points[2..4], 0)?,
            no_mask: weights.get("prompt_encoder.no_mask_embed.weight", &[1, width])?,
            image_size: prompt.image_size,
            grid: prompt.image_size / prompt.patch_size,
        })
    }

    /// Tokens `[boxes, 2, width]` of boxes given by their corners `[x1, y1, x2, y2]` in pixels of the network's
    /// input.
    pub fn boxes(&self, corners: &[[f64; 4]]) -> Result<Tensor> {
        // The centre of the corner's pixel, as a share of the side; f64 up to here, as in the published code.
        let share = |corner: &f64| (corner + 0.5) / self.image_size as f64;
        let shares: Vec<f64> = corners.as_flattened().iter().map(share).collect();
        let places = Tensor::f_from_slice(&shares)?.f_reshape([-1, 2, 2])?;
        let codes = self.code(&places)?.f_to_kind(self.kind)?;
        Ok(codes.f_add(&self.corners)?)
    }

    /// Codes of the centres of all patches, `[grid * grid, width]`, row by row.
    pub fn grid(&self) -> Result<Tensor> {
        let centres = Tensor::f_arange(self.grid, (Kind::Float, Device::Cpu))?
            .f_add_scalar(0.5)?
            .f_div_scalar(self.grid)?;
        let square = [self.grid, self.grid];
        let x = centres.f_unsqueeze(0)?.f_expand(square, false)?;
        let y = centres.f_unsqueeze(1)?.f_expand(square, false)?;
        let places = Tensor::f_stack(&[x, y], -1)?.f_reshape([-1, 2])?;
        Ok(self.code(&places)?.f_to_kind(self.kind)?)
    }

    /// What stands for a prompt without a mask, `[width]`.
    pub fn no_mask(&self) -> Result<Tensor> {
        Ok(self.no_mask.f_squeeze_dim(0)?)
    }

    /// Sines, then cosines, of places `[.., 2]` (x, y as shares of the side): `[.., width]`, f32.
    fn code(&self, places: &Tensor) -> Result<Tensor> {
        let phases = places
            .f_mul_scalar(2.0)?
            .f_sub_scalar(1.0)?
            .f_to_kind(Kind::Float)?
            .f_to_device(self.frequencies.device())?
            .f_matmul(&self.frequencies)?
            .f_mul_scalar(TAU)?;
        Ok(Tensor::f_cat(&[phases.f_sin()?, phases.f_cos()?], -1)?)
    }
}

/// Asks for what encodes clicks and masks, so that a tensor of another shape is noticed.
fn check_other_prompts(weights: &Weights, channels: i64, width: i64) -> Result<()> {
    let base = "prompt_encoder.mask_embed";
    let quarter = channels / 4;
    for (leaf, shape) in [
        ("conv1", vec![quarter, 1, 2, 2]),
        ("conv2", vec![channels, quarter, 2, 2]),
        ("conv3", vec![width, channels, 1, 1]),
        ("layer_norm1", vec![quarter]),
        ("layer_norm2", vec![channels]),
    ] {
        let _weight = weights.get(&format!("{base}.{leaf}.weight"), &shape)?;
        let _bias = weights.get(&format!("{base}.{leaf}.bias"), &shape[..1])?;
    }
    let _padding = weights.get("prompt_encoder.not_a_point_embed.weight", &[1, width])?;
    Ok(())
}
