//! Gemma 3 and MedGemma on libtorch.
//!
//! Follows `modeling_gemma3.py` and `modeling_siglip.py` of transformers 4.57.3, and agrees with
//! them number by number: `tests/` compares every part with values written by the reference.
//!
//! The network is in [`model`] (with [`vision`], [`projector`] and [`text`]); what turns an image
//! and a question into its inputs in [`processor`] and [`prompt`]. [`backend::Backend`] holds all of
//! it and answers, scores and traces; `plugin` shows it to the host.

pub mod backend;
pub mod cache;
pub mod config;
mod generate;
pub mod mask;
pub mod memory;
pub mod model;
mod names;
pub mod norm;
mod objective;
pub mod plugin;
pub mod processor;
pub mod projector;
pub mod prompt;
mod pullback;
pub mod rope;
mod score;
pub mod tape;
pub mod text;
mod trace;
pub mod vision;

pub use backend::Backend;
pub use medfocus_torch::{Error, Result};
pub use model::Gemma3;
