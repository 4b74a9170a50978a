//! The engine of vision-language models on libtorch.
//!
//! A [`Family`](network::Family) says how a checkpoint folder becomes a [`Network`](network::Network); all else is here and the
//! same for every family: [`Backend`] scores, generates and traces, [`Lvlm`](plugin::Lvlm) shows it to the
//! host. A pass is walked by a [`Tape`](tape::Tape) where something is to be seen or differentiated on the way.

pub mod attention;
pub mod backend;
mod bytes;
pub mod cache;
mod chat;
pub mod decoder;
mod different;
mod digest;
pub mod forward;
mod generate;
pub mod generation;
mod jinja;
mod logits;
pub mod mask;
pub mod memory;
pub mod names;
pub mod network;
mod objective;
pub mod plugin;
pub mod prompt;
mod pullback;
mod remembered;
mod score;
pub mod tape;
mod trace;

pub use backend::Backend;
pub use medfocus_torch::{Error, Result};
