//! OWL-ViT (Minderer et al., ECCV 2022), a detector that is told in words what to look for, on libtorch.
//!
//! Follows `modeling_owlvit.py` of transformers 4.57.3 and agrees with it number by number: `tests/` compares
//! every part with values written by the reference.
//!
//! The network is in [`model`] (with [`image`], [`text`] and [`heads`]); [`processor`] and [`tokenizer`] turn an
//! image and a phrase into its inputs, [`detections`] its output into boxes; a [`Backend`] holds them all. `plugin`
//! shows it to the host.
pub mod backend;
pub mod config;
pub mod detections;
pub mod heads;
pub mod image;
pub mod model;
pub mod plugin;
pub mod processor;
pub mod text;
pub mod tokenizer;

pub use backend::Backend;
pub use medfocus_torch::{Error, Result};
pub use model::OwlVit;
