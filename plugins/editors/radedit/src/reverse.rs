//! From the latents of an inversion back to an image, another one within the edited region (Pérez-García et al., ECCV 2024).

use medfocus_torch::tch::Tensor;

use crate::Result;
use crate::guidance::{Denoiser, Guidance};
use crate::inversion::Inverted;
use crate::schedule::Step;

medfocus_plugin_api::choices! {
    /// What the latents outside the edited region are after each step.
    pub enum Composition {
        /// Those of the inversion, with as much noise as those inside.
        Paper = "paper",
        /// Those of the inversion with the noise of one step more: what is left of it in the end is in the image.
        Released = "released",
    }
}

/// Where and how the way back differs from the way there.
#[derive(Debug)]
pub struct Change<'a> {
    /// 1 where the latents are edited and 0 elsewhere, `[1, 1, h, w]`.
    pub region: &'a Tensor,
    /// What is asked for. The published code may ask for nothing outside the region, where the answer has no effect.
    pub guidance: Guidance<'a>,
    /// How many of the noisiest steps are left out.
    pub skip: usize,
    /// What is outside the region.
    pub composition: Composition,
}

/// The latents `[1, channels, h, w]` of the edited image.
///
/// `watch` is told before each step how many are done, and the latents.
pub fn reverse(
    model: &dyn Denoiser,
    steps: &[Step],
    inverted: &Inverted,
    change: &Change<'_>,
    watch: &mut dyn FnMut(usize, &Tensor) -> Result<()>,
) -> Result<Tensor> {
    let steps = steps.get(change.skip..).unwrap_or_default();
    let outside = change.region.f_neg()?.f_add_scalar(1.0)?;
    let mut latents = inverted.latents[steps.len()].shallow_clone();
    for (done, step) in steps.iter().enumerate() {
        watch(done, &latents)?;
        let after = steps.len() - done - 1;
        let found = change.guidance.noise(model, &latents, step.timestep)?;
        let added = inverted.noise[after].f_mul_scalar(step.deviation())?;
        let edited = step.mean(&latents, &found)?.f_add(&added)?;
        let kept = match change.composition {
            Composition::Paper => &inverted.latents[after],
            Composition::Released => &inverted.latents[after + 1],
        };
        let edited = edited.f_mul(change.region)?;
        latents = edited.f_add(&kept.f_mul(&outside)?)?;
    }
    Ok(latents)
}
