//! What MedFocus plugins built on libtorch share.
//!
//! - [`device`]: which device and number format a model runs in, decided at run time;
//! - [`weights`]: parameters by name, from a checkpoint folder or from tensors in memory;
//! - [`shared`]: one copy of them for all models of a process;
//! - [`checkpoint`]: memory-mapped safetensors files behind it;
//! - [`identity`]: whether a file is still the one that was read;
//! - [`settings`]: the JSON files beside them;
//! - [`pixels`]: images resized and normalised as those files say;
//! - [`tokenizer`]: the tokenizer beside them;
//! - [`grad`]: the autograd mode, restored even when a panic unwinds;
//! - [`relevance`]: relevance handed down in place of a gradient;
//! - [`denormals`]: arithmetic that does not stumble over tiny numbers;
//! - [`interop`]: tensors handed to other plugins without a copy;
//! - [`nn`]: the layers every transformer is made of.
//!
//! Only the fallible (`f_*`) operations of `tch` are used: a panic in a plugin would lose the host's sample.

pub mod checkpoint;
pub mod denormals;
pub mod device;
mod error;
mod folder;
pub mod grad;
pub mod identity;
pub mod interop;
pub mod nn;
mod noise;
pub mod pixels;
pub mod relevance;
pub mod settings;
pub mod shared;
pub mod tokenizer;
pub mod weights;

pub use error::{Error, Result};
pub use tch;
