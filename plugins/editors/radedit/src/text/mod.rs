//! Prompts to states that the diffusion model attends to: the BERT of BioViL-T (CXR-BERT), read before its head.
//!
//! Follows `modeling_bert.py` of transformers 4.57.3 and agrees with it number by number: `tests/text.rs` compares
//! tokens and states with values written by the reference.

pub mod config;
pub mod encoder;
pub mod tokenizer;

use std::path::Path;

use medfocus_torch::tch::{Device, Kind, Tensor};
use medfocus_torch::weights::Weights;

use crate::{Error, Result};
use config::Config;
pub use config::LENGTH;
use encoder::Encoder;
use tokenizer::WordPiece;

medfocus_plugin_api::choices! {
    /// Which of a prompt's tokens the encoder attends to.
    pub enum TextMask {
        /// All, padding too: what diffusers' own pipelines do.
        None = "none",
        /// The prompt's own alone.
        Tokenizer = "tokenizer",
    }
}

/// A tokenizer and its encoder.
#[derive(Debug)]
pub struct TextModel {
    tokenizer: WordPiece,
    encoder: Encoder,
}

impl TextModel {
    /// Reads `config.json`, the vocabulary and the weights of a Hugging Face folder, onto `device` in `kind`.
    pub fn load(folder: &Path, device: Device, kind: Kind) -> Result<Self> {
        let config = Config::from_folder(folder)?;
        let tokenizer = WordPiece::from_folder(folder, LENGTH)?;
        if tokenizer.largest() >= config.vocab_size {
            return Err(Error::File {
                path: folder.to_owned(),
                reason: format!(
                    "its tokenizer has a token {} where config.json knows {}",
                    tokenizer.largest(),
                    config.vocab_size
                ),
            });
        }
        refuse_pickle(folder)?;
        let encoder = Encoder::new(&config, &Weights::open(folder, device, kind)?)?;
        Ok(Self { tokenizer, encoder })
    }

    /// Width of a state.
    pub fn width(&self) -> i64 {
        self.encoder.width()
    }

    /// How many numbers the encoder is made of.
    pub fn parameters(&self) -> u64 {
        self.encoder.parameters()
    }

    /// What turns prompts into tokens.
    pub fn tokenizer(&self) -> &WordPiece {
        &self.tokenizer
    }

    /// The states `[1, LENGTH, width]` of a prompt, in f32.
    pub fn states(&self, prompt: &str, mask: TextMask) -> Result<Tensor> {
        let tokens = self.tokenizer.read(prompt)?;
        if tokens.cut {
            tracing::warn!(
                "{prompt:?} is too long for the text encoder, which reads its first {LENGTH} tokens"
            );
        }
        let own = match mask {
            TextMask::None => None,
            TextMask::Tokenizer => Some(tokens.own),
        };
        Ok(self
            .encoder
            .forward(&tokens.ids, own)?
            .f_to_kind(Kind::Float)?)
    }
}

/// Says how the weights of BioViL-T are made readable, if that is what they lack.
fn refuse_pickle(folder: &Path) -> Result<()> {
    let holds = |name: &str| folder.join(name).exists();
    if holds("model.safetensors")
        || holds("model.safetensors.index.json")
        || !holds("pytorch_model.bin")
    {
        return Ok(());
    }
    Err(Error::File {
        path: folder.to_owned(),
        reason: "its weights are in pytorch_model.bin, which can hold code and is not read; convert them once, in this folder: python -c \"import torch, safetensors.torch as s; s.save_file({k: v.clone() for k, v in torch.load('pytorch_model.bin', weights_only=True).items()}, 'model.safetensors')\"".to_owned(),
    })
}
