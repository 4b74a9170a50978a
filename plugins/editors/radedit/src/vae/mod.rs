//! The autoencoder between images and latents: `AutoencoderKL` of diffusers.
//!
//! Follows `autoencoder_kl.py` of diffusers 0.39.0 and agrees with it number by number: `tests/networks/vae.rs` compares every part
//! with values written by the reference.

pub mod config;
pub mod decoder;
pub mod encoder;
pub mod middle;

use std::collections::BTreeMap;
use std::path::Path;

use medfocus_torch::tch::{Device, Kind, Tensor};
use medfocus_torch::weights::Weights;

use crate::Result;
use crate::diffusers::count;
use crate::diffusers::layers::Conv;
use config::Config;
use decoder::Decoder;
use encoder::Encoder;

/// An encoder of images and a decoder of latents.
#[derive(Debug)]
pub struct Vae {
    config: Config,
    encoder: Encoder,
    /// Behind the encoder.
    quant: Conv,
    /// Before the decoder.
    post_quant: Conv,
    decoder: Decoder,
    parameters: u64,
}

/// The normal distribution of an image's latents, every number by itself.
#[derive(Debug)]
pub struct Posterior {
    /// Means, `[N, latent channels, h, w]`.
    pub mean: Tensor,
    /// Standard deviations, of the same shape.
    pub std: Tensor,
}

impl Vae {
    /// Reads `config.json` and the weights of a diffusers folder, onto `device` in `kind`, or in f32 if the
    /// configuration says `force_upcast`.
    pub fn load(folder: &Path, device: Device, kind: Kind) -> Result<Self> {
        let config = Config::from_folder(folder)?;
        let kind = if config.force_upcast {
            Kind::Float
        } else {
            kind
        };
        Self::new(config, &Weights::open(folder, device, kind)?)
    }

    /// The network of a configuration and these weights.
    ///
    /// # Errors
    ///
    /// A tensor that is missing, of another shape, or left over.
    pub fn new(config: Config, weights: &Weights) -> Result<Self> {
        let mut network = Self::build(config, weights)?;
        weights.check_unused(|_| false)?;
        network.parameters = count(&Self::shapes(&network.config)?);
        Ok(network)
    }

    /// Name and shape of every parameter of this configuration.
    pub fn shapes(config: &Config) -> Result<BTreeMap<String, Vec<i64>>> {
        let blueprint = Weights::blueprint();
        Self::build(config.clone(), &blueprint)?;
        Ok(blueprint.wanted())
    }

    fn build(config: Config, weights: &Weights) -> Result<Self> {
        let latents = config.latent_channels;
        Ok(Self {
            encoder: Encoder::new(weights, &config)?,
            quant: Conv::pointwise(weights, "quant_conv", 2 * latents, 2 * latents)?,
            post_quant: Conv::pointwise(weights, "post_quant_conv", latents, latents)?,
            decoder: Decoder::new(weights, &config)?,
            parameters: 0,
            config,
        })
    }

    /// The configuration it was built from.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// How many numbers it is made of.
    pub fn parameters(&self) -> u64 {
        self.parameters
    }

    /// The diffusion model sees latents times this.
    pub fn scaling(&self) -> f64 {
        self.config.scaling_factor
    }

    /// The posterior of the latents, each `[N, latent channels, h', w']` in the image's own format, of an image
    /// `[N, 3, h, w]` in [-1, 1]: with four levels, sides of an eighth, rounded down.
    pub fn encode(&self, image: &Tensor) -> Result<Posterior> {
        let moments = self.encoder.forward(&self.own(image)?)?;
        let moments = self.quant.forward(&moments)?;
        let channels = self.config.latent_channels;
        let spread = moments.f_narrow(1, channels, channels)?;
        // The logarithm of the variance.
        let spread = spread.f_clamp(-30.0, 20.0)?.f_mul_scalar(0.5)?.f_exp()?;
        Ok(Posterior {
            mean: as_given(&moments.f_narrow(1, 0, channels)?, image)?,
            std: as_given(&spread, image)?,
        })
    }

    /// An image `[N, 3, h', w']` in about [-1, 1] and the latents' own format, of latents `[N, latent channels, h, w]`
    /// that were divided by the [scaling](Self::scaling): with four levels, sides times eight.
    pub fn decode(&self, latents: &Tensor) -> Result<Tensor> {
        let inner = self.post_quant.forward(&self.own(latents)?)?;
        as_given(&self.decoder.forward(&inner)?, latents)
    }

    /// On the network's device, in its number format.
    fn own(&self, tensor: &Tensor) -> Result<Tensor> {
        let (kind, device) = self.quant.format()?;
        Ok(tensor.f_to_device(device)?.f_to_kind(kind)?)
    }
}

/// On the device and in the number format of what was given.
fn as_given(tensor: &Tensor, given: &Tensor) -> Result<Tensor> {
    Ok(tensor
        .f_to_device(given.device())?
        .f_to_kind(given.f_kind()?)?)
}
