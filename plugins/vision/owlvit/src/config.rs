//! `config.json` of an OWL-ViT checkpoint.
//!
//! What a file leaves out takes the default of the reference's classes (`configuration_owlvit.py`), which is
//! OWL-ViT base with patches of 32 pixels.

use std::path::Path;

use medfocus_torch::nn::{Activation, EncoderShape};
use medfocus_torch::settings;
use serde::Deserialize;

use crate::{Error, Result};

/// The resolved configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The text tower.
    pub text: TextConfig,
    /// The image tower.
    pub vision: VisionConfig,
    /// Width of a phrase's embedding.
    pub projection: i64,
}

/// The text tower.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct TextConfig {
    /// Tokens that it knows.
    pub vocab_size: i64,
    /// Width of a token.
    pub hidden_size: i64,
    /// Width inside the MLPs.
    pub intermediate_size: i64,
    /// Layers.
    pub num_hidden_layers: i64,
    /// Attention heads.
    pub num_attention_heads: i64,
    /// Most tokens of a phrase, with those that begin and end it.
    pub max_position_embeddings: i64,
    /// Activation of the MLPs.
    pub hidden_act: Activation,
    /// Epsilon of the norms.
    pub layer_norm_eps: f64,
}

impl Default for TextConfig {
    fn default() -> Self {
        Self {
            vocab_size: 49408,
            hidden_size: 512,
            intermediate_size: 2048,
            num_hidden_layers: 12,
            num_attention_heads: 8,
            max_position_embeddings: 16,
            hidden_act: Activation::QuickGelu,
            layer_norm_eps: 1e-5,
        }
    }
}

impl TextConfig {
    /// Its layers.
    pub fn shape(&self) -> EncoderShape {
        EncoderShape {
            width: self.hidden_size,
            inner: self.intermediate_size,
            heads: self.num_attention_heads,
            eps: self.layer_norm_eps,
            activation: self.hidden_act,
        }
    }
}

/// The image tower.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct VisionConfig {
    /// Width of a patch's features.
    pub hidden_size: i64,
    /// Width inside the MLPs.
    pub intermediate_size: i64,
    /// Layers.
    pub num_hidden_layers: i64,
    /// Attention heads.
    pub num_attention_heads: i64,
    /// Colour channels.
    pub num_channels: i64,
    /// Side of the square input, pixels.
    pub image_size: i64,
    /// Side of a patch, pixels.
    pub patch_size: i64,
    /// Activation of the MLPs.
    pub hidden_act: Activation,
    /// Epsilon of the norms.
    pub layer_norm_eps: f64,
}

impl Default for VisionConfig {
    fn default() -> Self {
        Self {
            hidden_size: 768,
            intermediate_size: 3072,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            num_channels: 3,
            image_size: 768,
            patch_size: 32,
            hidden_act: Activation::QuickGelu,
            layer_norm_eps: 1e-5,
        }
    }
}

impl VisionConfig {
    /// Patches along one side of the image.
    pub fn grid(&self) -> i64 {
        self.image_size / self.patch_size
    }

    /// Its layers.
    pub fn shape(&self) -> EncoderShape {
        EncoderShape {
            width: self.hidden_size,
            inner: self.intermediate_size,
            heads: self.num_attention_heads,
            eps: self.layer_norm_eps,
            activation: self.hidden_act,
        }
    }
}

/// The file as written.
#[derive(Deserialize)]
#[serde(default)]
struct Raw {
    model_type: String,
    text_config: Option<TextConfig>,
    vision_config: Option<VisionConfig>,
    projection_dim: i64,
}

impl Default for Raw {
    fn default() -> Self {
        Self {
            model_type: String::new(),
            text_config: None,
            vision_config: None,
            projection_dim: 512,
        }
    }
}

impl Config {
    /// Reads `config.json` of a checkpoint folder.
    pub fn from_folder(folder: &Path) -> Result<Self> {
        settings::config(folder, "OWL-ViT", Self::parse)
    }

    /// Reads the text of a `config.json`.
    pub fn parse(text: &str) -> Result<Self> {
        let raw: Raw = settings::parse_json(text)?;
        settings::check_architecture(&raw.model_type, "owlvit", "OWL-ViT, its first version")?;
        let config = Self {
            text: raw.text_config.unwrap_or_default(),
            vision: raw.vision_config.unwrap_or_default(),
            projection: raw.projection_dim,
        };
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<()> {
        let (text, vision) = (&self.text, &self.vision);
        for (name, value, least) in [
            // A token of its own, and those that begin and end a phrase.
            ("text vocab_size", text.vocab_size, 3),
            ("text hidden_size", text.hidden_size, 1),
            ("text intermediate_size", text.intermediate_size, 1),
            ("text num_hidden_layers", text.num_hidden_layers, 1),
            ("text num_attention_heads", text.num_attention_heads, 1),
            ("max_position_embeddings", text.max_position_embeddings, 3),
            ("vision hidden_size", vision.hidden_size, 1),
            ("vision intermediate_size", vision.intermediate_size, 1),
            ("vision num_hidden_layers", vision.num_hidden_layers, 1),
            ("vision num_attention_heads", vision.num_attention_heads, 1),
            ("vision patch_size", vision.patch_size, 1),
            ("vision image_size", vision.image_size, vision.patch_size),
        ] {
            if !(least..=LARGEST).contains(&value) {
                return refuse(format!(
                    "{name} is {value}, which is not in {least}..={LARGEST}"
                ));
            }
        }
        if vision.num_channels != 3 {
            return refuse(format!(
                "the image tower has {} channels instead of 3",
                vision.num_channels
            ));
        }
        for (name, width, parts) in [
            (
                "text hidden_size",
                text.hidden_size,
                text.num_attention_heads,
            ),
            (
                "vision hidden_size",
                vision.hidden_size,
                vision.num_attention_heads,
            ),
        ] {
            if width % parts != 0 {
                return refuse(format!("{name} {width} is not a multiple of {parts}"));
            }
        }
        if self.projection != text.hidden_size {
            return refuse(format!(
                "projection_dim is {} where the class head needs the text tower's hidden_size, {}",
                self.projection, text.hidden_size
            ));
        }
        Ok(())
    }
}

/// No size of an OWL-ViT comes near this; products of two stay far from overflow.
const LARGEST: i64 = 1 << 20;

fn refuse<T>(reason: String) -> Result<T> {
    Err(Error::Config(reason))
}
