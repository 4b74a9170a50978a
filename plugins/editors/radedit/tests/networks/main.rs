//! Every part of RadEdit against its reference.

mod plugin;
mod reference;
mod text;
mod unet;
mod vae;
mod walk;
