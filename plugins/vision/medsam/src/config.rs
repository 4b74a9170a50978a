//! `config.json` of a SAM checkpoint.
//!
//! What a file leaves out takes the default of the reference's classes (`configuration_sam.py`),
//! which is SAM ViT-B.

use std::path::Path;

use medfocus_torch::nn::Activation;
use medfocus_torch::settings;
use serde::Deserialize;

use crate::{Error, Result};

/// How much narrower attention between tokens and image is in the layers: the class's default, which the
/// reference uses whatever the configuration says. Only the final attention follows `attention_downsample_rate`.
pub const LAYER_DOWNSAMPLE_RATE: i64 = 2;

/// The resolved configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The image encoder.
    pub vision: VisionConfig,
    /// The prompt encoder.
    pub prompt: PromptConfig,
    /// The mask decoder.
    pub decoder: DecoderConfig,
}

/// The image encoder.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct VisionConfig {
    /// Width of the patch features.
    pub hidden_size: i64,
    /// Channels of the image embedding.
    pub output_channels: i64,
    /// Encoder layers.
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
    /// Epsilon of the layer norms of the layers.
    pub layer_norm_eps: f64,
    /// Whether the query, key and value projections have biases.
    pub qkv_bias: bool,
    /// Whether the patches have learned absolute positions.
    pub use_abs_pos: bool,
    /// Whether attention has learned relative positions.
    pub use_rel_pos: bool,
    /// Side of an attention window, patches; 0 for none.
    pub window_size: i64,
    /// Layers that attend to the whole image.
    pub global_attn_indexes: Vec<i64>,
    /// Random frequencies of a position's code.
    pub num_pos_feats: i64,
    mlp_ratio: f64,
    mlp_dim: Option<i64>,
}

impl Default for VisionConfig {
    fn default() -> Self {
        Self {
            hidden_size: 768,
            output_channels: 256,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            num_channels: 3,
            image_size: 1024,
            patch_size: 16,
            hidden_act: Activation::Gelu,
            layer_norm_eps: 1e-6,
            qkv_bias: true,
            use_abs_pos: true,
            use_rel_pos: true,
            window_size: 14,
            global_attn_indexes: vec![2, 5, 8, 11],
            num_pos_feats: 128,
            mlp_ratio: 4.0,
            mlp_dim: None,
        }
    }
}

impl VisionConfig {
    /// Patches along one side of the image.
    pub fn grid(&self) -> i64 {
        self.image_size / self.patch_size
    }

    /// Width inside the MLPs.
    pub fn mlp_dim(&self) -> i64 {
        let scaled = (self.hidden_size as f64 * self.mlp_ratio) as i64;
        self.mlp_dim.unwrap_or(scaled)
    }

    /// Side of the attention windows of a layer; nothing if it attends to the whole image.
    pub fn window(&self, layer: i64) -> Option<i64> {
        let windowed = self.window_size > 0 && !self.global_attn_indexes.contains(&layer);
        windowed.then_some(self.window_size)
    }
}

/// The prompt encoder.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct PromptConfig {
    /// Width of a token.
    pub hidden_size: i64,
    /// Side of the square input, pixels.
    pub image_size: i64,
    /// Side of a patch, pixels.
    pub patch_size: i64,
    /// Channels inside the encoder of mask prompts.
    pub mask_input_channels: i64,
    /// Kinds of points: two for clicks, then the two corners of a box.
    pub num_point_embeddings: i64,
}

impl Default for PromptConfig {
    fn default() -> Self {
        Self {
            hidden_size: 256,
            image_size: 1024,
            patch_size: 16,
            mask_input_channels: 16,
            num_point_embeddings: 4,
        }
    }
}

/// The mask decoder.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct DecoderConfig {
    /// Width of a token and channels of the image embedding.
    pub hidden_size: i64,
    /// Activation of the transformer's MLPs.
    pub hidden_act: Activation,
    /// Width inside the transformer's MLPs.
    pub mlp_dim: i64,
    /// Layers of the transformer.
    pub num_hidden_layers: i64,
    /// Attention heads.
    pub num_attention_heads: i64,
    /// The final attention from tokens to the image is narrower by this factor.
    pub attention_downsample_rate: i64,
    /// Masks for one prompt.
    pub num_multimask_outputs: i64,
    /// Linear maps of the head that predicts scores.
    pub iou_head_depth: i64,
    /// Width inside that head.
    pub iou_head_hidden_dim: i64,
    /// Epsilon of the layer norms of the transformer's layers.
    pub layer_norm_eps: f64,
}

impl Default for DecoderConfig {
    fn default() -> Self {
        Self {
            hidden_size: 256,
            hidden_act: Activation::Relu,
            mlp_dim: 2048,
            num_hidden_layers: 2,
            num_attention_heads: 8,
            attention_downsample_rate: 2,
            num_multimask_outputs: 3,
            iou_head_depth: 3,
            iou_head_hidden_dim: 256,
            layer_norm_eps: 1e-6,
        }
    }
}

/// The file as written.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Raw {
    model_type: String,
    vision_config: VisionConfig,
    prompt_encoder_config: PromptConfig,
    mask_decoder_config: DecoderConfig,
}

impl Config {
    /// Reads `config.json` of a checkpoint folder.
    pub fn from_folder(folder: &Path) -> Result<Self> {
        settings::config(folder, "MedSAM or SAM", Self::parse)
    }

    /// Reads the text of a `config.json`.
    pub fn parse(text: &str) -> Result<Self> {
        let raw: Raw = settings::parse_json(text)?;
        settings::check_architecture(&raw.model_type, "sam", "SAM, MedSAM")?;
        let config = Self {
            vision: raw.vision_config,
            prompt: raw.prompt_encoder_config,
            decoder: raw.mask_decoder_config,
        };
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<()> {
        let (vision, prompt, decoder) = (&self.vision, &self.prompt, &self.decoder);
        for (name, value, least) in [
            ("vision hidden_size", vision.hidden_size, 1),
            ("vision output_channels", vision.output_channels, 1),
            ("vision num_hidden_layers", vision.num_hidden_layers, 1),
            ("vision num_attention_heads", vision.num_attention_heads, 1),
            ("vision patch_size", vision.patch_size, 1),
            ("vision image_size", vision.image_size, vision.patch_size),
            ("vision window_size", vision.window_size, 0),
            ("vision mlp_dim", vision.mlp_dim(), 1),
            ("prompt patch_size", prompt.patch_size, 1),
            ("mask_input_channels", prompt.mask_input_channels, 4),
            ("num_point_embeddings", prompt.num_point_embeddings, 4),
            ("decoder hidden_size", decoder.hidden_size, 8),
            ("decoder mlp_dim", decoder.mlp_dim, 1),
            ("decoder num_hidden_layers", decoder.num_hidden_layers, 1),
            (
                "decoder num_attention_heads",
                decoder.num_attention_heads,
                1,
            ),
            (
                "attention_downsample_rate",
                decoder.attention_downsample_rate,
                1,
            ),
            ("num_multimask_outputs", decoder.num_multimask_outputs, 1),
            ("iou_head_depth", decoder.iou_head_depth, 2),
            ("iou_head_hidden_dim", decoder.iou_head_hidden_dim, 1),
        ] {
            if !(least..=LARGEST).contains(&value) {
                return refuse(format!(
                    "{name} is {value}, which is not in {least}..={LARGEST}"
                ));
            }
        }
        if vision.num_channels != 3 {
            return refuse(format!(
                "the image encoder has {} channels instead of 3",
                vision.num_channels
            ));
        }
        for (name, width, parts) in [
            (
                "vision hidden_size",
                vision.hidden_size,
                vision.num_attention_heads,
            ),
            (
                "decoder hidden_size",
                decoder.hidden_size,
                decoder.num_attention_heads * decoder.attention_downsample_rate,
            ),
            (
                "decoder hidden_size",
                decoder.hidden_size,
                decoder.num_attention_heads * LAYER_DOWNSAMPLE_RATE,
            ),
            ("decoder hidden_size", decoder.hidden_size, 8),
            ("mask_input_channels", prompt.mask_input_channels, 4),
            ("vision image_size", vision.image_size, vision.patch_size),
        ] {
            if width % parts != 0 {
                return refuse(format!("{name} {width} is not a multiple of {parts}"));
            }
        }
        for (name, found, wanted) in [
            (
                "prompt hidden_size",
                prompt.hidden_size,
                decoder.hidden_size,
            ),
            (
                "vision output_channels",
                vision.output_channels,
                decoder.hidden_size,
            ),
            (
                "num_pos_feats",
                vision.num_pos_feats,
                decoder.hidden_size / 2,
            ),
            ("prompt image_size", prompt.image_size, vision.image_size),
            ("prompt patch_size", prompt.patch_size, vision.patch_size),
        ] {
            if found != wanted {
                return refuse(format!("{name} is {found} where the rest needs {wanted}"));
            }
        }
        Ok(())
    }
}

/// No size of a SAM model comes near this; products of two stay far from overflow.
const LARGEST: i64 = 1 << 14;

fn refuse<T>(reason: String) -> Result<T> {
    Err(Error::Config(reason))
}
