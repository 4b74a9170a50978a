//! Gradients through the image tower, one stage at a time.
//!
//! Recording the whole tower would hold some ten gigabytes for one image of the released models:
//! 27 layers over 4096 patches. Instead the input of each stage is kept, and the stages are run
//! again from the top, each recorded alone, handing the gradient down (checkpointing in the sense
//! of Chen et al. 2016, with one stage a segment). It costs one more pass through the tower.

use medfocus_torch::denormals::FlushDenormals;
use medfocus_torch::grad::GradMode;
use medfocus_torch::tch::{Kind, Tensor};

use crate::Result;
use crate::network::Network;

/// One unrecorded run of the image tower.
#[derive(Debug)]
pub(crate) struct TowerRun {
    /// The input of each stage; empty if no gradient will be asked for.
    inputs: Vec<Tensor>,
    features: Tensor,
}

impl TowerRun {
    /// Runs pixels `[images, 3, height, width]` through; `keep` what a later [`pull_back`](Self::pull_back) needs.
    pub fn new<N: Network>(network: &N, pixels: &Tensor, keep: bool) -> Result<Self> {
        let (_off, _flush) = (GradMode::off(), FlushDenormals::new());
        let mut inputs = Vec::new();
        let mut x = pixels.shallow_clone();
        for stage in 0..network.stages() {
            let next = network.stage(stage, &x)?;
            if keep {
                inputs.push(x);
            }
            x = next;
        }
        Ok(Self {
            inputs,
            features: x,
        })
    }

    /// The image features `[images, tokens per image, hidden]`.
    pub fn features(&self) -> &Tensor {
        &self.features
    }

    /// The gradient at the pixels, of whatever has this gradient at the features.
    pub fn pull_back<N: Network>(&self, network: &N, gradient: &Tensor) -> Result<Tensor> {
        let (_recording, _flush) = (GradMode::recording(), FlushDenormals::new());
        let mut gradient = gradient.shallow_clone();
        for (stage, input) in self.inputs.iter().enumerate().rev() {
            let leaf = input.f_detach()?.f_set_requires_grad(true)?;
            let output = network.stage(stage, &leaf)?;
            let product = output.f_mul(&gradient)?.f_sum(Kind::Float)?;
            let mut gradients = Tensor::f_run_backward(&[product], &[leaf], false, false)?;
            // Gemma's projector transposes; the stages below would all pay for that layout.
            gradient = gradients.swap_remove(0).f_contiguous()?;
        }
        Ok(gradient)
    }
}
