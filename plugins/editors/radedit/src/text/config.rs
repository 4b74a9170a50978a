//! `config.json` of a BERT.
//!
//! What a file leaves out takes the default of the reference's class (`configuration_bert.py`).

use std::path::Path;

use medfocus_torch::nn::Activation;
use medfocus_torch::settings;
use serde::Deserialize;

use crate::diffusers::keys::{check_multiple, check_size, refuse};
use crate::{Error, Result};

/// Tokens of every prompt: shorter ones are padded, longer ones cut.
pub const LENGTH: usize = 128;

/// The settings that decide what the encoder computes.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct Config {
    model_type: String,
    position_embedding_type: String,
    is_decoder: bool,
    /// Tokens that it knows.
    pub vocab_size: i64,
    /// Width of a state.
    pub hidden_size: i64,
    /// Layers.
    pub num_hidden_layers: i64,
    /// Attention heads.
    pub num_attention_heads: i64,
    /// Width inside the MLPs.
    pub intermediate_size: i64,
    /// Most tokens of a text.
    pub max_position_embeddings: i64,
    /// Kinds of tokens, of which the first is used.
    pub type_vocab_size: i64,
    /// Activation of the MLPs.
    pub hidden_act: Activation,
    /// Epsilon of the norms.
    pub layer_norm_eps: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            model_type: String::new(),
            position_embedding_type: "absolute".to_owned(),
            is_decoder: false,
            vocab_size: 30522,
            hidden_size: 768,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            intermediate_size: 3072,
            max_position_embeddings: 512,
            type_vocab_size: 2,
            hidden_act: Activation::Gelu,
            layer_norm_eps: 1e-12,
        }
    }
}

impl Config {
    /// Reads `config.json` of the folder.
    pub fn from_folder(folder: &Path) -> Result<Self> {
        settings::config(folder, "BioViL-T or other BERT", Self::parse)
    }

    /// Reads the text of a `config.json`.
    ///
    /// # Errors
    ///
    /// Another architecture, or a key that cannot be run, by its name.
    pub fn parse(text: &str) -> Result<Self> {
        let config: Self = settings::parse_json(text)?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<()> {
        // CXR-BERT calls itself by a name of its own, and is BERT with another head.
        if !["bert", "cxr-bert"].contains(&self.model_type.as_str()) {
            return Err(Error::Architecture(format!(
                "model_type is {:?}, but the text encoder must be bert or cxr-bert",
                self.model_type
            )));
        }
        if self.position_embedding_type != "absolute" || self.is_decoder {
            return refuse(
                "position_embedding_type must be \"absolute\" and is_decoder false".to_owned(),
            );
        }
        for (key, size) in [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("intermediate_size", self.intermediate_size),
            ("max_position_embeddings", self.max_position_embeddings),
            ("type_vocab_size", self.type_vocab_size),
        ] {
            check_size(key, size)?;
        }
        if self.max_position_embeddings < LENGTH as i64 {
            return refuse(format!(
                "max_position_embeddings is {}, but prompts have {LENGTH} tokens",
                self.max_position_embeddings
            ));
        }
        let (size, heads) = (self.hidden_size, self.num_attention_heads);
        check_multiple("hidden_size", size, "num_attention_heads", heads)
    }
}
