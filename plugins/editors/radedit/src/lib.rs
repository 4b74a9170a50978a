//! RadEdit (Pérez-García et al., ECCV 2024): a latent diffusion model of chest radiographs as an editor, on libtorch.
//!
//! [`text`] reads the prompt, [`vae`] takes the image to latents and back, [`unet`] predicts noise in them by the
//! [`schedule`]; [`inversion`] walks up and down with it, [`masks`] says where, [`pipeline`] leads through all of it.

pub mod diffusers;
pub mod inversion;
pub mod masks;
pub mod pipeline;
mod radedit;
pub mod schedule;
pub mod text;
pub mod unet;
pub mod vae;

pub use medfocus_torch::{Error, Result};
pub use radedit::{RadEdit, Settings};

medfocus_plugin_api::export_plugin! {
    libtorch = "2.13.0";
    editor RadEdit;
}
