//! Qwen2.5-VL on libtorch.
//!
//! Follows `modeling_qwen2_5_vl.py` of transformers 4.57.3 and agrees with it number by number: `tests/` compares every part with
//! values written by the reference.
//!
//! The network is in [`model`] (with [`vision`] and [`text`]); what turns an image into its input in [`processor`]. [`Family`]
//! tells the engine, `medfocus_lvlm`, how a checkpoint becomes all of it.

pub mod config;
mod family;
pub mod model;
mod names;
pub mod processor;
pub mod text;
pub mod vision;

pub use family::Family;
pub use medfocus_torch::{Error, Result};
pub use model::Qwen2_5Vl;

/// Qwen2.5-VL behind the host's interface.
pub type Qwen2_5VlPlugin = medfocus_lvlm::plugin::Lvlm<Family>;

medfocus_plugin_api::export_plugin! {
    libtorch = "2.13.0";
    model Qwen2_5VlPlugin;
}
