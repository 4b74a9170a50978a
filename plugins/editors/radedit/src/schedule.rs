//! How much noise there is at which step: `DDIMScheduler` of diffusers, of which the inversion uses the list of timesteps
//! and the cumulative products of the alphas alone.
//!
//! Follows `scheduling_ddim.py` of diffusers 0.39.0; `tests/schedule.rs` compares it with values written by the reference.

use std::path::Path;

use medfocus_torch::settings;
use medfocus_torch::tch::{Device, Kind, Tensor};
use serde::Deserialize;

use crate::diffusers::keys::{Keys, check_size, refuse};
use crate::{Error, Result};

const FILE: &str = "scheduler_config.json";

/// How the variances of the added noise grow with the timestep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Betas {
    /// By equal steps.
    Linear,
    /// Their square roots by equal steps.
    ScaledLinear,
}

/// Which of the trained timesteps are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spacing {
    /// From the last, by equal steps.
    Trailing,
    /// From the first, by equal whole steps.
    Leading,
    /// First and last, and equal steps between them.
    Linspace,
}

/// The settings that decide timesteps and alphas.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Timesteps of the training.
    pub train_steps: i64,
    /// Variance of the noise that the first timestep adds.
    pub beta_start: f64,
    /// Variance of the noise that the last timestep adds.
    pub beta_end: f64,
    /// The variances between them.
    pub betas: Betas,
    /// Which timesteps are used.
    pub spacing: Spacing,
    /// Added to every timestep with leading spacing.
    pub offset: i64,
    /// Whether nothing of the noise is left after the last step; otherwise that of the first timestep.
    pub set_alpha_to_one: bool,
}

impl Default for Config {
    /// RadEdit's.
    fn default() -> Self {
        Self {
            train_steps: 1000,
            beta_start: 1e-4,
            beta_end: 0.02,
            betas: Betas::Linear,
            spacing: Spacing::Trailing,
            offset: 1,
            set_alpha_to_one: true,
        }
    }
}

impl Config {
    /// Reads `scheduler_config.json` of the folder.
    pub fn from_folder(folder: &Path) -> Result<Self> {
        let advice =
            "give the folder of a DDIMScheduler of diffusers, or leave it out for RadEdit's own";
        settings::read(folder.join(FILE), advice, Self::parse)
    }

    /// Reads the text of a `scheduler_config.json`. What a file leaves out takes the default of diffusers.
    ///
    /// # Errors
    ///
    /// Another scheduler, or a key that asks for what is not run here, by its name.
    pub fn parse(text: &str) -> Result<Self> {
        let mut keys = Keys::parse(text, "DDIMScheduler")?;
        let config = Self {
            train_steps: check_size(
                "num_train_timesteps",
                keys.take("num_train_timesteps", 1000)?,
            )?,
            beta_start: keys.take("beta_start", 1e-4)?,
            beta_end: keys.take("beta_end", 0.02)?,
            betas: keys.take("beta_schedule", Betas::Linear)?,
            spacing: keys.take("timestep_spacing", Spacing::Leading)?,
            offset: keys.take("steps_offset", 0)?,
            set_alpha_to_one: keys.take("set_alpha_to_one", true)?,
        };
        keys.only("prediction_type", "epsilon")?;
        keys.only("trained_betas", None::<()>)?;
        keys.only("rescale_betas_zero_snr", false)?;
        // The inversion clips and thresholds nothing, whatever these say.
        keys.skip(&[
            "clip_sample",
            "clip_sample_range",
            "thresholding",
            "dynamic_thresholding_ratio",
            "sample_max_value",
            "skip_prk_steps",
        ]);
        keys.finish()?;
        let (start, end) = (config.beta_start, config.beta_end);
        if !(0.0 < start && start < 1.0 && 0.0 < end && end < 1.0) {
            return refuse(format!(
                "beta_start {start} and beta_end {end} must lie between 0 and 1"
            ));
        }
        Ok(config)
    }

    /// The timesteps of so many steps, from the noisiest.
    ///
    /// # Errors
    ///
    /// Timesteps that were not trained: more steps than timesteps, an offset beyond the last, or, with trailing spacing, one
    /// too many, which the reference's rounding makes of some numbers of steps (61 of 1000).
    pub fn timesteps(&self, steps: usize) -> Result<Vec<i64>> {
        let refused = || {
            Err(Error::Request(format!(
                "{steps} steps cannot be taken of {} timesteps; take a divisor of their number",
                self.train_steps
            )))
        };
        if !(1..=self.train_steps.unsigned_abs()).contains(&(steps as u64)) {
            return refused();
        }
        let (trained, asked) = (self.train_steps as f64, steps as f64);
        let timesteps: Vec<i64> = match self.spacing {
            Spacing::Trailing => {
                // As numpy's arange: how many there are is rounded up, and a step is the difference of the first two.
                let ratio = trained / asked;
                let (count, delta) = ((trained / ratio).ceil(), (trained - ratio) - trained);
                let timestep = |at| (trained + f64::from(at) * delta).round_ties_even() as i64 - 1;
                (0..count as u32).map(timestep).collect()
            }
            Spacing::Leading => {
                let ratio = self.train_steps / steps as i64;
                let timestep = |at| at * ratio + self.offset;
                (0..steps as i64).rev().map(timestep).collect()
            }
            Spacing::Linspace => {
                // As numpy's linspace, whose last number is exact.
                let step = (trained - 1.0) / (asked - 1.0).max(1.0);
                let timestep = |at: usize| match at + 1 {
                    last if last == steps && steps > 1 => self.train_steps - 1,
                    _ => (at as f64 * step).round_ties_even() as i64,
                };
                (0..steps).rev().map(timestep).collect()
            }
        };
        let known = 0..self.train_steps;
        let falling = timesteps.is_sorted_by(|a, b| a > b);
        if !falling || !timesteps.iter().all(|t| known.contains(t)) {
            return refused();
        }
        Ok(timesteps)
    }

    /// The cumulative products of the alphas, one for each timestep; computed in f32, as the reference does.
    pub fn alphas(&self) -> Result<Vec<f64>> {
        let float = (Kind::Float, Device::Cpu);
        let count = self.train_steps;
        let betas = match self.betas {
            Betas::Linear => Tensor::f_linspace(self.beta_start, self.beta_end, count, float)?,
            Betas::ScaledLinear => {
                let (start, end) = (self.beta_start.sqrt(), self.beta_end.sqrt());
                Tensor::f_linspace(start, end, count, float)?.f_square()?
            }
        };
        let alphas = betas
            .f_neg()?
            .f_add_scalar(1.0)?
            .f_cumprod(0, Kind::Float)?;
        Ok(Vec::<f64>::try_from(alphas.f_to_kind(Kind::Double)?)?)
    }
}

/// One step from a timestep to one with less noise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// The timestep that it begins at.
    pub timestep: i64,
    /// Share of the image in the variance there.
    pub alpha: f64,
    /// Share of the image in the variance where it ends.
    pub alpha_after: f64,
}

/// The steps from the noisiest timestep to the image.
///
/// A step ends as many timesteps below as all take on average, rounded down, as the reference has it. That is where the next
/// begins only if the number of steps divides that of the timesteps.
pub fn steps(config: &Config, steps: usize) -> Result<Vec<Step>> {
    let timesteps = config.timesteps(steps)?;
    let alphas = config.alphas()?;
    let last = if config.set_alpha_to_one {
        1.0
    } else {
        alphas[0]
    };
    let ratio = config.train_steps / steps as i64;
    let step = |timestep: i64| Step {
        timestep,
        alpha: alphas[timestep as usize],
        alpha_after: usize::try_from(timestep - ratio).map_or(last, |after| alphas[after]),
    };
    Ok(timesteps.into_iter().map(step).collect())
}

impl Step {
    /// Latents with this step's share of noise.
    pub fn noisy(&self, clean: &Tensor, noise: &Tensor) -> Result<Tensor> {
        let clean = clean.f_mul_scalar(self.alpha.sqrt())?;
        Ok(clean.f_add(&noise.f_mul_scalar((1.0 - self.alpha).sqrt())?)?)
    }

    /// The mean of the latents after the step, given those before it and the noise that is found in them (DDIM with
    /// eta = 1, which is DDPM).
    pub fn mean(&self, latents: &Tensor, noise: &Tensor) -> Result<Tensor> {
        let clean = latents
            .f_sub(&noise.f_mul_scalar((1.0 - self.alpha).sqrt())?)?
            .f_mul_scalar(self.alpha.powf(-0.5))?;
        let direction = (1.0 - self.alpha_after - self.variance()).max(0.0).sqrt();
        Ok(clean
            .f_mul_scalar(self.alpha_after.sqrt())?
            .f_add(&noise.f_mul_scalar(direction)?)?)
    }

    /// Standard deviation of the latents after the step. 0 where nothing of the noise is left.
    pub fn deviation(&self) -> f64 {
        self.variance().sqrt()
    }

    fn variance(&self) -> f64 {
        let variance =
            (1.0 - self.alpha_after) / (1.0 - self.alpha) * (1.0 - self.alpha / self.alpha_after);
        variance.max(0.0)
    }
}
