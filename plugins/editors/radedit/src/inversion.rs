//! Edit-friendly inversion (Huberman-Spiegelglas et al., CVPR 2024): the noise with which a denoiser turns into an image what
//! it is asked to.

use medfocus_torch::tch::Tensor;

use crate::Result;
use crate::guidance::{Denoiser, Guidance};
use crate::schedule::Step;

/// An image as a denoiser makes it, from noise to image.
#[derive(Debug)]
pub struct Inverted {
    /// Latents `[1, channels, h, w]` with the noise of 0, 1, ... steps; those without noise are the image's own.
    pub latents: Vec<Tensor>,
    /// What each step adds to its mean, in deviations, the last step first. Nothing in the last.
    pub noise: Vec<Tensor>,
}

/// Inverts the latents of an image `[1, channels, h, w]`.
///
/// The noisy latents are drawn independently of each other, with `forward`, the least noisy first. What a step then has to add to the denoiser's
/// mean to reach the next latents is kept. In the last step nothing can be added, and
/// the published code divides 0 by 0 there: it keeps latents that are no numbers, this function the image's own. `watch`
/// is told before each step how many are done.
pub fn invert(
    model: &dyn Denoiser,
    guidance: &Guidance<'_>,
    steps: &[Step],
    image: Tensor,
    forward: &[Tensor],
    watch: &mut dyn FnMut(usize) -> Result<()>,
) -> Result<Inverted> {
    let mut latents = vec![image];
    for (step, noise) in steps.iter().rev().zip(forward) {
        latents.push(step.noisy(&latents[0], noise)?);
    }
    let mut noise = Vec::with_capacity(steps.len());
    for (done, step) in steps.iter().enumerate() {
        watch(done)?;
        let after = steps.len() - done - 1;
        let found = guidance.noise(model, &latents[after + 1], step.timestep)?;
        let mean = step.mean(&latents[after + 1], &found)?;
        let deviation = step.deviation();
        if deviation > 0.0 {
            let added = latents[after].f_sub(&mean)?.f_div_scalar(deviation)?;
            // So that errors of rounding do not add up.
            latents[after] = mean.f_add(&added.f_mul_scalar(deviation)?)?;
            noise.push(added);
        } else {
            noise.push(mean.f_zeros_like()?);
        }
    }
    if let Some(last) = noise.last_mut() {
        *last = last.f_zeros_like()?;
    }
    noise.reverse();
    Ok(Inverted { latents, noise })
}
