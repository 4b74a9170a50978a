//! RadEdit's networks together: an image, a region and a prompt to an edited image.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use medfocus_torch::grad::GradMode;
use medfocus_torch::tch::{self, Device, Kind, Tensor};
use ndarray::{Array2, ArrayView2};

use crate::inversion::{Composition, Denoiser, Descent, descend, invert};
use crate::masks::{Cells, cells};
use crate::schedule::{Config, Schedule};
use crate::text::TextEncoder;
use crate::text::tokenizer::{Prompt, WordPiece};
use crate::unet::UNet;
use crate::vae::Vae;
use crate::{Error, Result};

/// How edits are made.
#[derive(Debug, Clone)]
pub struct Options {
    /// Steps of the whole walk.
    pub steps: i64,
    /// How much more the prompt counts than none.
    pub guidance: f64,
    /// Share of the noisiest steps that is left out.
    pub skip: f64,
    /// How the rest of the latents is kept.
    pub composition: Composition,
    /// How the region becomes cells of latents.
    pub cells: Cells,
    /// Whether padding of the prompt is hidden from the text encoder.
    pub hide_padding: bool,
    /// The prompt of the way up.
    pub invert_prompt: String,
}

/// The networks.
pub struct Pipeline {
    unet: UNet,
    vae: Vae,
    text: TextEncoder,
    words: WordPiece,
    schedule: Schedule,
    options: Options,
    /// States of the prompts met so far.
    states: HashMap<String, Tensor>,
}

/// What chance decides of an edit: standard normal numbers in the latents' shape, f32 on the CPU.
pub struct Chance {
    /// For the draw from the autoencoder's posterior.
    pub posterior: Tensor,
    /// For each level of the walk, from the least noisy on.
    pub levels: Vec<Tensor>,
}

/// libtorch's generator is the process's: seeding it and drawing must not be torn apart.
static GENERATOR: Mutex<()> = Mutex::new(());

impl Chance {
    /// The draws of a seed, in the order in which the published pipeline makes them on the CPU.
    pub fn new(seed: u64, shape: [i64; 4], levels: usize) -> Result<Self> {
        let _held = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
        tch::manual_seed(seed as i64);
        let draw = || Tensor::f_randn(shape, (Kind::Float, Device::Cpu));
        Ok(Self {
            posterior: draw()?,
            levels: (0..levels).map(|_| Ok(draw()?)).collect::<Result<_>>()?,
        })
    }
}

/// Where the parts of a checkpoint lie.
#[derive(Debug, Clone, Copy)]
pub struct Folders<'a> {
    /// The diffusion model.
    pub unet: &'a Path,
    /// The autoencoder.
    pub vae: &'a Path,
    /// The text encoder with its vocabulary.
    pub text: &'a Path,
    /// The noise schedule; RadEdit's if nothing.
    pub scheduler: Option<&'a Path>,
}

impl Denoiser for UNet {
    fn noise(&self, latents: &Tensor, timestep: i64, text: &Tensor) -> Result<Tensor> {
        self.forward(latents, timestep, text)
    }
}

impl Pipeline {
    /// Reads the networks onto `device` in `kind`.
    ///
    /// # Errors
    ///
    /// A folder that is missing or broken, networks that do not fit each other, or a schedule without such steps.
    pub fn load(
        folders: Folders<'_>,
        device: Device,
        kind: Kind,
        options: Options,
    ) -> Result<Self> {
        let schedule = match folders.scheduler {
            Some(folder) => Config::from_folder(folder)?,
            None => Config::default(),
        };
        let pipeline = Self {
            schedule: Schedule::new(&schedule, options.steps)?,
            words: WordPiece::open(folders.text)?,
            text: TextEncoder::load(folders.text, device, kind)?,
            unet: UNet::load(folders.unet, device, kind)?,
            vae: Vae::load(folders.vae, device, kind)?,
            states: HashMap::new(),
            options,
        };
        let (ours, theirs) = (
            pipeline.unet.config().in_channels,
            pipeline.vae.config().latent_channels,
        );
        if ours != theirs {
            return Err(Error::Config(format!(
                "the diffusion model works on {ours} channels, but the autoencoder's latents have {theirs}"
            )));
        }
        Ok(pipeline)
    }

    /// Pixels of a cell of latents along each axis.
    pub fn cell(&self) -> usize {
        1 << (self.vae.config().block_out_channels.len() - 1)
    }

    /// Numbers that all networks are made of, but the text encoder's.
    pub fn parameters(&self) -> u64 {
        self.unet.parameters() + self.vae.parameters()
    }

    /// Steps of an edit, both ways.
    pub fn steps(&self) -> usize {
        self.schedule.steps() + self.start()
    }

    /// The level that the way down starts from.
    fn start(&self) -> usize {
        let steps = self.schedule.steps();
        steps - (steps as f64 * self.options.skip) as usize
    }

    /// The image with the region as the prompt says, grey levels; `step` is called before each of [`Pipeline::steps`].
    ///
    /// The sides of the image are multiples of [`Pipeline::cell`]. Outside the region the image comes back as the
    /// autoencoder has it.
    pub fn edit(
        &mut self,
        image: ArrayView2<'_, u8>,
        region: ArrayView2<'_, bool>,
        prompt: &str,
        seed: u64,
        step: &dyn Fn(usize) -> Result<()>,
    ) -> Result<Array2<u8>> {
        let (height, width) = image.dim();
        let cell = self.cell();
        let shape = [
            1,
            self.vae.config().latent_channels,
            (height / cell) as i64,
            (width / cell) as i64,
        ];
        let chance = Chance::new(seed, shape, self.schedule.steps())?;
        let edited = self.edit_with(image, region, prompt, &chance, step)?;
        grey(&edited, height, width)
    }

    /// The same with given draws; the decoded image `[1, 3, h, w]` in about [-1, 1].
    pub fn edit_with(
        &mut self,
        image: ArrayView2<'_, u8>,
        region: ArrayView2<'_, bool>,
        prompt: &str,
        chance: &Chance,
        step: &dyn Fn(usize) -> Result<()>,
    ) -> Result<Tensor> {
        let _off = GradMode::off();
        let (height, width) = image.dim();
        let (free, wanted) = (
            self.states(&self.options.invert_prompt.clone())?,
            self.states(prompt)?,
        );
        let pixels: Vec<f32> = image.iter().map(|&p| f32::from(p) / 127.5 - 1.0).collect();
        let pixels = Tensor::f_from_slice(&pixels)?
            .f_reshape([1, 1, height as i64, width as i64])?
            .f_expand([1, 3, -1, -1], false)?;
        let posterior = self.vae.encode(&pixels)?;
        let drawn = posterior
            .std
            .f_mul(&chance.posterior)?
            .f_add(&posterior.mean)?;
        let latents = drawn.f_mul_scalar(self.vae.scaling())?;
        let cell = self.cell();
        let grid = cells(region, (cell, cell), self.options.cells);
        let (rows, columns) = grid.dim();
        let grid: Vec<f32> = grid.into_iter().collect();
        let grid = Tensor::f_from_slice(&grid)?.f_reshape([1, 1, rows as i64, columns as i64])?;
        let (unet, schedule) = (&self.unet, &self.schedule);
        let walk = invert(unet, schedule, &latents, &chance.levels, &free, step)?;
        let descent = Descent {
            region: &grid,
            texts: [&free, &wanted],
            guidance: self.options.guidance,
            start: self.start(),
            composition: self.options.composition,
        };
        let down = |number: usize| step(schedule.steps() + number);
        let edited = descend(unet, schedule, &walk, &descent, &down)?;
        self.vae.decode(&edited.f_div_scalar(self.vae.scaling())?)
    }

    /// States of a prompt, f32 on the CPU.
    fn states(&mut self, prompt: &str) -> Result<Tensor> {
        if let Some(states) = self.states.get(prompt) {
            return Ok(states.shallow_clone());
        }
        let Prompt { ids, seen } = self.words.encode(prompt)?;
        let seen = self.options.hide_padding.then_some(seen.as_slice());
        let states = self.text.forward(&ids, seen)?;
        let states = states.f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?;
        self.states
            .insert(prompt.to_owned(), states.shallow_clone());
        Ok(states)
    }
}

/// A decoded image as grey levels: the luma of its colours (ITU-R BT.601), which hardly differ.
fn grey(image: &Tensor, height: usize, width: usize) -> Result<Array2<u8>> {
    let levels = image
        .f_to_device(Device::Cpu)?
        .f_to_kind(Kind::Float)?
        .f_mul_scalar(0.5)?
        .f_add_scalar(0.5)?
        .f_clamp(0.0, 1.0)?
        .f_mul_scalar(255.0)?
        .f_round()?;
    let luma = Tensor::f_from_slice(&[0.299_f32, 0.587, 0.114])?.f_reshape([1, 3, 1, 1])?;
    let levels = levels
        .f_mul(&luma)?
        .f_sum_dim_intlist(1, false, Kind::Float)?;
    let levels = Vec::<f32>::try_from(levels.f_flatten(0, -1)?)?;
    let levels = levels
        .into_iter()
        .map(|level| level.round() as u8)
        .collect();
    Array2::from_shape_vec((height, width), levels)
        .map_err(|error| Error::Request(format!("the decoded image has another size: {error}")))
}
