//! The three networks and the way of an image through them.

use std::collections::HashMap;

use medfocus_torch::grad::GradMode;
use medfocus_torch::tch::{Device, Kind, Tensor};
use ndarray::{Array2, ArrayView2};

use crate::folders::Folders;
use crate::guidance::Guidance;
use crate::inversion::{Inverted, invert};
use crate::masks::{LatentMask, latent_region};
use crate::noise::Noise;
use crate::reverse::{Change, Composition, reverse};
use crate::schedule::{self, Step};
use crate::text::{TextMask, TextModel};
use crate::unet::UNet;
use crate::vae::Vae;
use crate::{Error, Result, pixels};

/// More prompts than this are not remembered.
const MOST_PROMPTS: usize = 64;

/// How edits are made.
#[derive(Debug, Clone)]
pub struct Options {
    /// Steps from noise to image.
    pub steps: usize,
    /// Scale of the guidance.
    pub guidance: f64,
    /// Share of the noisiest steps that is left out.
    pub skip: f64,
    /// Side of the square that is edited, pixels.
    pub side: u32,
    /// What is outside the region.
    pub composition: Composition,
    /// Which latents are in the region.
    pub latent_mask: LatentMask,
    /// Which tokens are attended to.
    pub text_mask: TextMask,
    /// What the image is inverted with.
    pub invert_prompt: String,
}

/// RadEdit, ready to edit.
#[derive(Debug)]
pub struct Backend {
    unet: UNet,
    vae: Vae,
    text: TextModel,
    steps: Vec<Step>,
    options: Options,
    device: Device,
    /// States of the last prompts.
    states: HashMap<String, Tensor>,
    /// The last image that was inverted, and its seed: the edits of one image share it.
    last: Option<(Array2<u8>, u64, Inverted)>,
}

impl Backend {
    /// Loads the networks onto the device and in the number format of `place`, which is asked only once the
    /// configurations are known to be right.
    ///
    /// # Errors
    ///
    /// A folder that is not what it must be, networks that do not fit each other, and options that do not fit them.
    pub fn open(
        folders: &Folders,
        options: Options,
        place: impl FnOnce() -> Result<(Device, Kind)>,
    ) -> Result<Self> {
        let unet = crate::unet::config::Config::from_folder(&folders.unet)?;
        let vae = crate::vae::config::Config::from_folder(&folders.vae)?;
        let text = crate::text::config::Config::from_folder(&folders.text)?;
        let scheduler = match &folders.scheduler {
            Some(folder) => schedule::Config::from_folder(folder)?,
            None => schedule::Config::default(),
        };
        let steps = schedule::steps(&scheduler, options.steps)?;
        if unet.cross_attention_dim != text.hidden_size {
            return refuse(format!(
                "the UNet reads text states of width {}, the text encoder's have {}",
                unet.cross_attention_dim, text.hidden_size
            ));
        }
        let channels = vae.latent_channels;
        if (unet.in_channels, unet.out_channels) != (channels, channels) {
            return refuse(format!(
                "the UNet takes latents of {} channels and gives {}, the autoencoder's have {channels}",
                unet.in_channels, unet.out_channels
            ));
        }
        let factor = factor(&vae);
        if !options.side.is_multiple_of(factor) {
            return Err(Error::Request(format!(
                "side {} is not a multiple of {factor}, the pixels of a latent along one side",
                options.side
            )));
        }
        let (device, kind) = place()?;
        Ok(Self {
            unet: UNet::load(&folders.unet, device, kind)?,
            vae: Vae::load(&folders.vae, device, kind)?,
            text: TextModel::load(&folders.text, device, kind)?,
            steps,
            options,
            device,
            states: HashMap::new(),
            last: None,
        })
    }

    /// How many numbers the networks are made of.
    pub fn parameters(&self) -> u64 {
        self.unet.parameters() + self.vae.parameters() + self.text.parameters()
    }

    /// A square of the options' side with the region (of the image before it was letterboxed) as the prompt has it.
    ///
    /// `watch` is told the steps that are done, of all, and what is being done.
    ///
    /// # Errors
    ///
    /// A region that covers no latent, and an image that is not made of numbers.
    pub fn edit(
        &mut self,
        square: ArrayView2<'_, u8>,
        region: ArrayView2<'_, bool>,
        prompt: &str,
        seed: u64,
        watch: &dyn Fn(usize, usize, &str) -> Result<()>,
    ) -> Result<Array2<u8>> {
        let _off = GradMode::off();
        let region = self.region(region)?;
        let unconditional = self.states("")?;
        let prompt = self.states(prompt)?;
        let steps = self.steps.len();
        let skip = (steps as f64 * self.options.skip) as usize;
        let total = 2 * steps - skip + 1;
        let inverted = match self.last.take() {
            Some((image, drawn, inverted)) if drawn == seed && image == square => inverted,
            _ => self.invert(square, seed, &unconditional, &|done| {
                watch(done, total, "inverting the image")
            })?,
        };
        let change = Change {
            region: &region,
            guidance: Guidance {
                unconditional: &unconditional,
                prompt: Some(&prompt),
                scale: self.options.guidance,
            },
            skip,
            composition: self.options.composition,
        };
        let latents = reverse(
            &self.unet,
            &self.steps,
            &inverted,
            &change,
            &mut |done, _| watch(steps + done, total, "editing the image"),
        );
        // Kept even if the user stops here.
        self.last = Some((square.to_owned(), seed, inverted));
        let latents = latents?;
        watch(total - 1, total, "decoding the image")?;
        let latents = latents.f_div_scalar(self.vae.scaling())?;
        pixels::from_tensor(&self.vae.decode(&latents)?)
    }

    fn invert(
        &mut self,
        square: ArrayView2<'_, u8>,
        seed: u64,
        unconditional: &Tensor,
        watch: &dyn Fn(usize) -> Result<()>,
    ) -> Result<Inverted> {
        let prompt = self.options.invert_prompt.clone();
        let prompt = (!prompt.is_empty())
            .then(|| self.states(&prompt))
            .transpose()?;
        let guidance = Guidance {
            unconditional,
            prompt: prompt.as_ref(),
            scale: self.options.guidance,
        };
        let image = pixels::to_tensor(square)?.f_to_device(self.device)?;
        let posterior = self.vae.encode(&image)?;
        let (n, channels, height, width) = posterior.mean.size4()?;
        let noise = Noise::seeded(seed, self.steps.len(), [n, channels, height, width])?;
        let own = |tensor: &Tensor| -> Result<Tensor> { Ok(tensor.f_to_device(self.device)?) };
        let latents = posterior
            .std
            .f_mul(&own(&noise.posterior)?)?
            .f_add(&posterior.mean)?
            .f_mul_scalar(self.vae.scaling())?;
        let forward: Vec<Tensor> = noise.forward.iter().map(own).collect::<Result<_>>()?;
        invert(
            &self.unet,
            &guidance,
            &self.steps,
            latents,
            &forward,
            &mut |done| watch(done),
        )
    }

    /// 1 for the latents of the region, `[1, 1, h, w]`.
    fn region(&self, region: ArrayView2<'_, bool>) -> Result<Tensor> {
        let factor = factor(self.vae.config());
        let cells = latent_region(
            region,
            self.options.side,
            factor as usize,
            self.options.latent_mask,
        );
        if !cells.iter().any(|&inside| inside) {
            return Err(Error::Request(format!(
                "the region to edit is too small: it holds the first pixel of no latent, which are {factor} x {factor} pixels of a square of {}; use latent_mask = \"cover\" or a larger side",
                self.options.side
            )));
        }
        let (rows, columns) = cells.dim();
        let shares: Vec<f32> = cells.iter().map(|&c| f32::from(u8::from(c))).collect();
        let region = Tensor::f_from_slice(&shares)?;
        Ok(region
            .f_reshape([1, 1, rows as i64, columns as i64])?
            .f_to_device(self.device)?)
    }

    fn states(&mut self, prompt: &str) -> Result<Tensor> {
        if let Some(states) = self.states.get(prompt) {
            return Ok(states.shallow_clone());
        }
        if self.states.len() >= MOST_PROMPTS {
            self.states.clear();
        }
        let states = self.text.states(prompt, self.options.text_mask)?;
        self.states
            .insert(prompt.to_owned(), states.shallow_clone());
        Ok(states)
    }
}

/// Pixels of a latent along one side.
fn factor(vae: &crate::vae::config::Config) -> u32 {
    1 << (vae.block_out_channels.len() - 1).min(16)
}

fn refuse<T>(reason: String) -> Result<T> {
    Err(Error::Checkpoint(reason))
}
