//! What a diffusion model is asked at each step.

use medfocus_torch::tch::Tensor;

use crate::Result;
use crate::unet::UNet;

/// A network that finds the noise in latents.
pub trait Denoiser {
    /// The noise `[N, channels, h, w]` in latents of this shape at a timestep, given text states `[N, tokens, width]`.
    fn noise(&self, latents: &Tensor, timestep: i64, text: &Tensor) -> Result<Tensor>;
}

impl Denoiser for UNet {
    fn noise(&self, latents: &Tensor, timestep: i64, text: &Tensor) -> Result<Tensor> {
        self.forward(latents, timestep, text)
    }
}

/// Classifier-free guidance (Ho and Salimans 2022).
#[derive(Debug)]
pub struct Guidance<'a> {
    /// States `[1, tokens, width]` of the empty prompt.
    pub unconditional: &'a Tensor,
    /// States of the prompt, if it is not empty.
    pub prompt: Option<&'a Tensor>,
    /// How far the noise is moved from that of the empty prompt: 1 is to that of the prompt.
    pub scale: f64,
}

impl Guidance<'_> {
    /// The guided noise in latents `[1, channels, h, w]`. Both prompts go through the network at once.
    pub fn noise(&self, model: &dyn Denoiser, latents: &Tensor, timestep: i64) -> Result<Tensor> {
        let Some(prompt) = self.prompt else {
            return model.noise(latents, timestep, self.unconditional);
        };
        let both = Tensor::f_cat(&[latents, latents], 0)?;
        let text = Tensor::f_cat(&[self.unconditional, prompt], 0)?;
        let noise = model.noise(&both, timestep, &text)?;
        let (without, with) = (noise.f_narrow(0, 0, 1)?, noise.f_narrow(0, 1, 1)?);
        let moved = with.f_sub(&without)?.f_mul_scalar(self.scale)?;
        Ok(without.f_add(&moved)?)
    }
}
