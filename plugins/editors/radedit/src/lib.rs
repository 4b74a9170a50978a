//! RadEdit (Pérez-García et al., ECCV 2024): a latent diffusion model of chest radiographs as an editor, on libtorch.

pub mod diffusers;
pub mod unet;
pub mod vae;

pub use medfocus_torch::{Error, Result};
