//! Patch features to image tokens (`Gemma3MultiModalProjector`): pool, normalise, project.

use medfocus_torch::nn::RmsNorm;
use medfocus_torch::tch::Tensor;
use medfocus_torch::weights::Weights;

use crate::Result;
use crate::config::Config;

/// The projector.
#[derive(Debug)]
pub struct Projector {
    norm: RmsNorm,
    /// `[vision width, hidden]`, applied from the right without transposing.
    weight: Tensor,
    patches_per_side: i64,
    pool: i64,
}

impl Projector {
    /// Takes its parameters under `prefix`.
    pub fn new(config: &Config, weights: &Weights, prefix: &str) -> Result<Self> {
        let vision = &config.vision;
        Ok(Self {
            norm: RmsNorm::one_plus(
                weights,
                &format!("{prefix}.mm_soft_emb_norm"),
                vision.hidden_size,
                vision.layer_norm_eps,
            )?,
            weight: weights.get(
                &format!("{prefix}.mm_input_projection_weight"),
                &[vision.hidden_size, config.text.hidden_size],
            )?,
            patches_per_side: vision.patches_per_side(),
            pool: vision.patches_per_side() / config.grid_side(),
        })
    }

    /// `[images, patches, vision width]` to `[images, tokens per image, hidden]`.
    pub fn forward(&self, patches: &Tensor) -> Result<Tensor> {
        let (images, _, width) = patches.size3()?;
        let side = self.patches_per_side;
        let pooled = patches
            .f_transpose(1, 2)?
            .f_reshape([images, width, side, side])?
            .f_avg_pool2d(self.pool, self.pool, 0, false, true, None)?
            .f_flatten(2, -1)?
            .f_transpose(1, 2)?;
        Ok(self.norm.forward(&pooled)?.f_matmul(&self.weight)?)
    }
}
