//! Edit-friendly inversion (Huberman-Spiegelglas et al., CVPR 2024): an image as a walk of latents and the noise between
//! them, and the same walk down again under another prompt.
//!
//! A walk has levels: 0 is the image's own latents, the last the noisiest. Each level is noised by itself, not from the one
//! before; the noise `z` of a step is whatever leads from one to the next. Walked down with the same predictions, they
//! give back the latents exactly.

use medfocus_torch::tch::Tensor;

use crate::Result;
use crate::schedule::{Schedule, Step};

/// Predicts the noise in latents.
pub trait Denoiser {
    /// Noise `[N, C, h, w]` in these latents at a timestep, given text states `[N, tokens, width]`.
    fn noise(&self, latents: &Tensor, timestep: i64, text: &Tensor) -> Result<Tensor>;
}

/// An image's walk.
#[derive(Debug)]
pub struct Walk {
    /// Latents of each level, the image's own first.
    pub latents: Vec<Tensor>,
    /// Noise of the step down to each level, that to level 0 is zero: its step adds none.
    pub noise: Vec<Tensor>,
}

/// How pixels outside the edited region are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Composition {
    /// As the paper has it: after each step they are the walk's of that level, hence in the end the image's own.
    Paper,
    /// As the released code does it: they are the walk's of the level before, so that a trace of noise remains.
    Released,
}

/// A way down.
pub struct Descent<'a> {
    /// The region that is edited, `[1, 1, h, w]`: 1 inside, 0 outside.
    pub region: &'a Tensor,
    /// States of the empty prompt and of the wanted one.
    pub texts: [&'a Tensor; 2],
    /// How much more the wanted prompt counts than the empty one.
    pub guidance: f64,
    /// The level to start from.
    pub start: usize,
    /// How the rest is kept.
    pub composition: Composition,
}

/// Walks up: noises each level by `noise` (one tensor for each level from 1 on, standard normal, of the latents' shape),
/// then works out the noise between the levels, asking the network without a prompt. `step` is called before each.
pub fn invert(
    network: &impl Denoiser,
    schedule: &Schedule,
    latents: &Tensor,
    noise: &[Tensor],
    text: &Tensor,
    step: &dyn Fn(usize) -> Result<()>,
) -> Result<Walk> {
    let mut levels = vec![latents.shallow_clone()];
    for level in 1..=schedule.steps() {
        let Step { alpha, .. } = schedule.down_from(level);
        let image = latents.f_mul_scalar(alpha.sqrt())?;
        levels.push(image.f_add(&noise[level - 1].f_mul_scalar((1.0 - alpha).sqrt())?)?);
    }
    let mut between = vec![latents.f_zeros_like()?];
    for _ in 1..schedule.steps() {
        between.push(latents.f_zeros_like()?);
    }
    for level in (1..=schedule.steps()).rev() {
        step(schedule.steps() - level)?;
        let down = schedule.down_from(level);
        let variance = down.variance();
        // The last step adds no noise: there the image's latents stay as they are.
        if variance > 0.0 {
            let predicted = network.noise(&levels[level], down.timestep, text)?;
            let mean = mean(&levels[level], &predicted, down)?;
            let deviation = variance.sqrt();
            let noise = levels[level - 1].f_sub(&mean)?.f_div_scalar(deviation)?;
            // The rounding of the division would grow from step to step.
            levels[level - 1] = mean.f_add(&noise.f_mul_scalar(deviation)?)?;
            between[level - 1] = noise;
        }
    }
    Ok(Walk {
        latents: levels,
        noise: between,
    })
}

/// Walks down under the wanted prompt; the latents in the end. `step` is called before each.
pub fn descend(
    network: &impl Denoiser,
    schedule: &Schedule,
    walk: &Walk,
    descent: &Descent<'_>,
    step: &dyn Fn(usize) -> Result<()>,
) -> Result<Tensor> {
    let outside = descent.region.f_neg()?.f_add_scalar(1.0)?;
    let texts = Tensor::f_cat(&descent.texts, 0)?;
    let mut x = walk.latents[descent.start].shallow_clone();
    for level in (1..=descent.start).rev() {
        step(descent.start - level)?;
        let down = schedule.down_from(level);
        let both = network.noise(&x.f_expand([2, -1, -1, -1], false)?, down.timestep, &texts)?;
        let (free, wanted) = (both.f_narrow(0, 0, 1)?, both.f_narrow(0, 1, 1)?);
        // Guided inside the region, without a prompt outside.
        let push = wanted.f_sub(&free)?.f_mul_scalar(descent.guidance)?;
        let predicted = free.f_add(&push.f_mul(descent.region)?)?;
        let noise = walk.noise[level - 1].f_mul_scalar(down.variance().max(0.0).sqrt())?;
        x = mean(&x, &predicted, down)?.f_add(&noise)?;
        let kept = match descent.composition {
            Composition::Paper => &walk.latents[level - 1],
            Composition::Released => &walk.latents[level],
        };
        x = x.f_mul(descent.region)?.f_add(&kept.f_mul(&outside)?)?;
    }
    Ok(x)
}

/// Where a step leads before its noise is added (Song et al., ICLR 2021, equation 12 with the variance of DDPM).
fn mean(latents: &Tensor, predicted: &Tensor, step: Step) -> Result<Tensor> {
    let noise = predicted.f_mul_scalar((1.0 - step.alpha).sqrt())?;
    let image = latents.f_sub(&noise)?.f_div_scalar(step.alpha.sqrt())?;
    let towards = (1.0 - step.alpha_after - step.variance()).max(0.0).sqrt();
    let image = image.f_mul_scalar(step.alpha_after.sqrt())?;
    Ok(image.f_add(&predicted.f_mul_scalar(towards)?)?)
}
