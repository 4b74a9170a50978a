//! The noise schedule: how noisy each timestep is, and which timesteps are taken.
//!
//! Follows `scheduling_ddim.py` of diffusers 0.39.0.

use std::path::Path;

use medfocus_plugin_api::file;
use medfocus_torch::settings;
use medfocus_torch::tch::{Device, Kind, Tensor};
use serde::Deserialize;

use crate::{Error, Result};

/// `scheduler_config.json`; what a file leaves out takes the values that RadEdit is used with.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Timesteps in training.
    pub num_train_timesteps: i64,
    /// Variance added at the first timestep.
    pub beta_start: f64,
    /// And at the last.
    pub beta_end: f64,
    /// How it grows.
    pub beta_schedule: Betas,
    /// Which timesteps are taken.
    pub timestep_spacing: Spacing,
    /// Added to every timestep, where the spacing is leading.
    pub steps_offset: i64,
    /// Whether the last step ends without noise; else with that of the first timestep.
    pub set_alpha_to_one: bool,
    /// What the network predicts; only `epsilon`, the noise, is run.
    pub prediction_type: String,
    /// Whether predictions are clipped, which is not run.
    pub clip_sample: bool,
}

/// How the variance grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Betas {
    /// Evenly.
    Linear,
    /// Its square root does.
    ScaledLinear,
}

/// Which timesteps are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spacing {
    /// From the last one down.
    Trailing,
    /// From the first one up.
    Leading,
    /// Both ends.
    Linspace,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            num_train_timesteps: 1000,
            beta_start: 1e-4,
            beta_end: 0.02,
            beta_schedule: Betas::Linear,
            timestep_spacing: Spacing::Trailing,
            steps_offset: 1,
            set_alpha_to_one: true,
            prediction_type: "epsilon".to_owned(),
            clip_sample: false,
        }
    }
}

impl Config {
    /// Reads `scheduler_config.json` of a folder.
    ///
    /// # Errors
    ///
    /// The file is missing or broken, or asks for what is not run.
    pub fn from_folder(folder: &Path) -> Result<Self> {
        let path = folder.join("scheduler_config.json");
        let unusable = |reason: String| Error::File {
            path: path.clone(),
            reason,
        };
        let text = file::read_to_string(&path)
            .map_err(|error| unusable(format!("cannot be read ({error})")))?;
        let config: Self = settings::parse_json(&text)?;
        if config.prediction_type != "epsilon" {
            let found = &config.prediction_type;
            return Err(unusable(format!(
                "prediction_type is {found:?}, only \"epsilon\" is run"
            )));
        }
        if config.clip_sample {
            return Err(unusable("clip_sample is true, which is not run".to_owned()));
        }
        if !(1..=1 << 20).contains(&config.num_train_timesteps) {
            return Err(unusable("num_train_timesteps is out of range".to_owned()));
        }
        Ok(config)
    }
}

/// The timesteps of a walk from noise to image, and how much of the image is left at each.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// The step that a level starts from: level 0 is the image itself, level `steps()` the noisiest.
    steps: Vec<Step>,
}

/// One step down.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Timestep that the network is told.
    pub timestep: i64,
    /// Cumulative product of 1 - beta there: the share of the image in the latents' variance.
    pub alpha: f64,
    /// And where the step leads.
    pub alpha_after: f64,
}

impl Schedule {
    /// A walk of so many steps.
    ///
    /// # Errors
    ///
    /// [`Error::Request`] if there are no steps, or more than timesteps in training.
    pub fn new(config: &Config, steps: i64) -> Result<Self> {
        let all = config.num_train_timesteps;
        if !(1..=all).contains(&steps) {
            return Err(Error::Request(format!(
                "{steps} steps do not fit a schedule of {all} timesteps"
            )));
        }
        let alphas = alphas(config)?;
        let last = if config.set_alpha_to_one {
            1.0
        } else {
            alphas[0]
        };
        let walk = timesteps(config, steps).into_iter().rev().map(|timestep| {
            let after = timestep - all / steps;
            let alpha = |at: i64| {
                usize::try_from(at)
                    .ok()
                    .and_then(|at| alphas.get(at))
                    .copied()
            };
            Some(Step {
                timestep,
                alpha: alpha(timestep)?,
                alpha_after: alpha(after).unwrap_or(last),
            })
        });
        let walk: Option<Vec<Step>> = walk.collect();
        let walk = walk.ok_or_else(|| {
            Error::Config(format!(
                "steps_offset {} leads beyond the {all} timesteps of training",
                config.steps_offset
            ))
        })?;
        Ok(Self { steps: walk })
    }

    /// How many steps there are.
    pub fn steps(&self) -> usize {
        self.steps.len()
    }

    /// The step from `level` (1 to [`Schedule::steps`]) to the one below.
    pub fn down_from(&self, level: usize) -> Step {
        self.steps[level - 1]
    }
}

impl Step {
    /// Variance of the noise that the step adds anew.
    pub fn variance(&self) -> f64 {
        (1.0 - self.alpha_after) / (1.0 - self.alpha) * (1.0 - self.alpha / self.alpha_after)
    }
}

/// The cumulative products, each rounded to f32 as the reference has them.
fn alphas(config: &Config) -> Result<Vec<f64>> {
    let (start, end) = (config.beta_start, config.beta_end);
    let even = |start: f64, end: f64| {
        let count = config.num_train_timesteps;
        Tensor::f_linspace(start, end, count, (Kind::Float, Device::Cpu))
    };
    let betas = match config.beta_schedule {
        Betas::Linear => even(start, end)?,
        Betas::ScaledLinear => even(start.sqrt(), end.sqrt())?.f_square()?,
    };
    let alphas = betas
        .f_neg()?
        .f_add_scalar(1.0)?
        .f_cumprod(0, Kind::Float)?;
    Ok(Vec::<f64>::try_from(alphas.f_to_kind(Kind::Double)?)?)
}

/// The timesteps, the noisiest first.
fn timesteps(config: &Config, steps: i64) -> Vec<i64> {
    let all = config.num_train_timesteps;
    let step = all as f64 / steps as f64;
    match config.timestep_spacing {
        Spacing::Trailing => (0..steps)
            .map(|k| (all as f64 - k as f64 * step).round_ties_even() as i64 - 1)
            .collect(),
        Spacing::Leading => (0..steps)
            .rev()
            .map(|k| k * (all / steps) + config.steps_offset)
            .collect(),
        Spacing::Linspace => (0..steps)
            .rev()
            .map(|k| {
                let share = k as f64 / (steps - 1).max(1) as f64;
                (share * (all - 1) as f64).round_ties_even() as i64
            })
            .collect(),
    }
}
