//! MedSAM (Ma et al., Nature Communications 2024): Segment Anything (Kirillov et al., ICCV 2023) trained on
//! medical images, on libtorch.
//!
//! Follows `modeling_sam.py` of transformers 4.57.3 and agrees with it number by number: `tests/` compares
//! every part with values written by the reference. Any SAM ViT checkpoint in Hugging Face's layout runs.
//!
//! The network is in [`model`] (with [`encoder`], [`prompt`] and [`decoder`]); [`processor`] turns an image
//! into its input, [`regions`] its output into masks; a [`Backend`] holds both. `plugin` shows it all to the host.
mod attention;
pub mod backend;
pub mod config;
pub mod decoder;
pub mod encoder;
mod layers;
pub mod model;
pub mod plugin;
pub mod processor;
pub mod prompt;
pub mod regions;
mod transformer;

pub use backend::Backend;
pub use medfocus_torch::{Error, Result};
pub use model::Sam;
