//! RadEdit (Pérez-García et al., ECCV 2024): a latent diffusion model of chest radiographs as an editor, on libtorch.
//!
//! The networks are [`unet`], [`vae`] and [`text`], which agree number by number with diffusers 0.39.0 and transformers
//! 4.57.3. [`schedule`] says how much noise there is at each step, [`noise`] draws it, [`inversion`] finds what a denoiser, asked with some
//! [`guidance`], needs to make an image, and [`reverse`] makes another one of it. [`masks`] and [`pixels`] are the ways
//! between the image and what is edited; a [`backend`] holds it all, and [`radedit`] shows it to the host.

pub mod backend;
pub mod diffusers;
pub mod folders;
pub mod guidance;
pub mod inversion;
pub mod masks;
pub mod noise;
pub mod pixels;
pub mod radedit;
pub mod reverse;
pub mod schedule;
pub mod text;
pub mod unet;
pub mod vae;

pub use medfocus_torch::{Error, Result};
pub use radedit::RadEdit;
