//! The networks against diffusers.

mod reference;
mod unet;
mod vae;
