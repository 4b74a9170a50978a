//! Gemma 3 and MedGemma on libtorch.
//!
//! Follows `modeling_gemma3.py` and `modeling_siglip.py` of transformers 4.57.3, and agrees with
//! them number by number: `tests/` compares every part with values written by the reference.
//!
//! The network is in [`model`] (with [`vision`], [`projector`] and [`text`]); what turns an image into its input in
//! [`processor`]. [`Family`] tells the engine, `medfocus_lvlm`, how a checkpoint becomes all of it; the engine scores,
//! generates and traces.

pub mod config;
mod family;
pub mod model;
mod names;
pub mod processor;
pub mod projector;
pub mod text;
pub mod vision;

pub use family::Family;
pub use medfocus_torch::{Error, Result};
pub use model::Gemma3;

/// A checkpoint of Gemma 3, ready to answer.
pub type Backend = medfocus_lvlm::Backend<Family>;

/// Gemma 3 behind the host's interface.
pub type Gemma3Plugin = medfocus_lvlm::plugin::Lvlm<Family>;

medfocus_plugin_api::export_plugin! {
    libtorch = "2.13.0";
    model Gemma3Plugin;
}
