//! `config.json` of a Qwen2.5-VL checkpoint.
//!
//! On the hub the decoder's fields lie at the top; transformers 4.57 and 5 write them into `text_config`, the second with its
//! rotary settings in `rope_parameters`. What a file leaves out takes the default of the reference's classes
//! (`configuration_qwen2_5_vl.py`), which are not the values of any released model.

use std::path::Path;

use medfocus_lvlm::generation::Ids;
use medfocus_torch::nn::Activation;
use medfocus_torch::settings;
use serde::Deserialize;
use serde_json::Value;

use crate::{Error, Result};

/// The resolved configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The decoder.
    pub text: TextConfig,
    /// The image tower.
    pub vision: VisionConfig,
    /// Id of the token that stands for one image feature.
    pub image_token: i64,
    /// Tokens that end a generation, unless `generation_config.json` says otherwise.
    pub eos: Vec<i64>,
}

/// The decoder.
#[derive(Debug, Clone, PartialEq)]
pub struct TextConfig {
    /// Rows of the embedding table.
    pub vocab_size: i64,
    /// Width of the residual stream.
    pub hidden_size: i64,
    /// Width inside the gated MLP.
    pub intermediate_size: i64,
    /// Layers.
    pub layers: i64,
    /// Query heads.
    pub heads: i64,
    /// Key and value heads; divides `heads`.
    pub kv_heads: i64,
    /// Base of the rotary wavelengths.
    pub rope_theta: f64,
    /// How many frequencies of a head turn with time, row and column; together half a head.
    pub mrope_section: [i64; 3],
    /// Epsilon of every RMSNorm.
    pub rms_norm_eps: f64,
    /// Activation of the MLPs.
    pub activation: Activation,
    /// Whether logits reuse the embedding table.
    pub tied: bool,
}

impl TextConfig {
    /// Width of one head.
    pub fn head_dim(&self) -> i64 {
        self.hidden_size / self.heads
    }
}

/// The image tower.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct VisionConfig {
    /// Blocks.
    pub depth: i64,
    /// Width of the patch features.
    pub hidden_size: i64,
    /// Width inside the gated MLP.
    pub intermediate_size: i64,
    /// Attention heads.
    pub num_heads: i64,
    /// Colour channels.
    #[serde(alias = "in_chans")]
    pub in_channels: i64,
    /// Side of a patch, pixels.
    pub patch_size: i64,
    /// Frames of a patch; an image is its one frame over and over.
    pub temporal_patch_size: i64,
    /// Side of the square of patches that make one image token.
    pub spatial_merge_size: i64,
    /// Blocks that attend to the whole image.
    pub fullatt_block_indexes: Vec<i64>,
    /// Width of an image feature: the decoder's.
    pub out_hidden_size: i64,
    /// Activation of the MLPs.
    pub hidden_act: Activation,
    window_size: i64,
}

impl Default for VisionConfig {
    fn default() -> Self {
        Self {
            depth: 32,
            hidden_size: 3584,
            intermediate_size: 3420,
            num_heads: 16,
            in_channels: 3,
            patch_size: 14,
            temporal_patch_size: 2,
            spatial_merge_size: 2,
            fullatt_block_indexes: vec![7, 15, 23, 31],
            out_hidden_size: 3584,
            hidden_act: Activation::Silu,
            window_size: 112,
        }
    }
}

impl VisionConfig {
    /// Side of an attention window, patches: whole image tokens that fit into `window_size` pixels.
    pub fn window(&self) -> i64 {
        self.window_size / self.spatial_merge_size / self.patch_size * self.spatial_merge_size
    }

    /// Side of an image token, pixels.
    pub fn token_side(&self) -> i64 {
        self.patch_size * self.spatial_merge_size
    }
}

impl Config {
    /// Reads `config.json` of a checkpoint folder.
    pub fn from_folder(folder: &Path) -> Result<Self> {
        settings::config(folder, "Qwen2.5-VL", Self::parse)
    }

    /// Reads the text of a `config.json`.
    pub fn parse(text: &str) -> Result<Self> {
        let raw: RawConfig = settings::parse_json(text)?;
        settings::check_architecture(&raw.model_type, "qwen2_5_vl", "Qwen2.5-VL")?;
        let decoder: RawText = match raw.text_config {
            Some(nested) => serde_json::from_value(nested)
                .map_err(|error| Error::Config(format!("text_config: {error}")))?,
            None => settings::parse_json(text)?,
        };
        let config = Self {
            eos: raw
                .eos_token_id
                .or(decoder.eos_token_id.clone())
                .map_or(vec![151_645], Ids::into_vec),
            text: decoder.resolve(raw.tie_word_embeddings)?,
            vision: raw.vision_config,
            image_token: raw.image_token_id,
        };
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<()> {
        let (text, vision) = (&self.text, &self.vision);
        for (name, value) in [
            ("vocab_size", text.vocab_size),
            ("hidden_size", text.hidden_size),
            ("intermediate_size", text.intermediate_size),
            ("num_hidden_layers", text.layers),
            ("num_attention_heads", text.heads),
            ("num_key_value_heads", text.kv_heads),
            ("vision depth", vision.depth),
            ("vision hidden_size", vision.hidden_size),
            ("vision intermediate_size", vision.intermediate_size),
            ("vision num_heads", vision.num_heads),
            ("patch_size", vision.patch_size),
            ("temporal_patch_size", vision.temporal_patch_size),
            ("spatial_merge_size", vision.spatial_merge_size),
        ] {
            if value < 1 {
                return refuse(format!("{name} is {value}"));
            }
        }
        for (what, width, heads) in [
            ("hidden_size", text.hidden_size, text.heads),
            ("vision hidden_size", vision.hidden_size, vision.num_heads),
        ] {
            if width % heads != 0 {
                return refuse(format!(
                    "{what} {width} is not a multiple of its {heads} heads"
                ));
            }
        }
        if text.heads % text.kv_heads != 0 {
            return refuse(format!(
                "{} query heads cannot share {} key heads",
                text.heads, text.kv_heads
            ));
        }
        let sections: i64 = text.mrope_section.iter().sum();
        if text.mrope_section.iter().any(|&part| part < 0) || 2 * sections != text.head_dim() {
            return refuse(format!(
                "mrope_section {:?} does not divide half of a head of {}",
                text.mrope_section,
                text.head_dim()
            ));
        }
        if vision.hidden_size / vision.num_heads % 4 != 0 {
            return refuse(format!(
                "the image tower's heads of {} cannot be rotated by row and column",
                vision.hidden_size / vision.num_heads
            ));
        }
        if vision.in_channels != 3 {
            return refuse(format!(
                "the image tower has {} channels instead of 3",
                vision.in_channels
            ));
        }
        if vision.window() < 1 {
            return refuse(format!(
                "window_size {} is less than an image token of {} pixels",
                vision.window_size,
                vision.token_side()
            ));
        }
        if vision.out_hidden_size != text.hidden_size {
            return refuse(format!(
                "image features are {} wide (out_hidden_size), the decoder {} (hidden_size)",
                vision.out_hidden_size, text.hidden_size
            ));
        }
        Ok(())
    }
}

fn refuse<T>(reason: String) -> Result<T> {
    Err(Error::Config(reason))
}

/// The file as written.
#[derive(Deserialize)]
struct RawConfig {
    #[serde(default)]
    model_type: String,
    text_config: Option<Value>,
    #[serde(default)]
    vision_config: VisionConfig,
    #[serde(default = "default_image")]
    image_token_id: i64,
    eos_token_id: Option<Ids>,
    #[serde(default)]
    tie_word_embeddings: bool,
}

fn default_image() -> i64 {
    151_655
}

/// The decoder's fields as written.
#[derive(Deserialize)]
#[serde(default)]
struct RawText {
    vocab_size: i64,
    hidden_size: i64,
    intermediate_size: i64,
    num_hidden_layers: i64,
    num_attention_heads: i64,
    num_key_value_heads: Option<i64>,
    hidden_act: Activation,
    rms_norm_eps: f64,
    rope_theta: f64,
    rope_scaling: Option<RawRope>,
    /// The spelling of transformers 5.
    rope_parameters: Option<RawRope>,
    use_sliding_window: Option<bool>,
    max_window_layers: Option<i64>,
    layer_types: Option<Vec<String>>,
    tie_word_embeddings: bool,
    eos_token_id: Option<Ids>,
}

impl Default for RawText {
    fn default() -> Self {
        Self {
            vocab_size: 152_064,
            hidden_size: 8192,
            intermediate_size: 29_568,
            num_hidden_layers: 80,
            num_attention_heads: 64,
            num_key_value_heads: Some(8),
            hidden_act: Activation::Silu,
            rms_norm_eps: 1e-5,
            rope_theta: 1e6,
            rope_scaling: None,
            rope_parameters: None,
            use_sliding_window: None,
            max_window_layers: None,
            layer_types: None,
            tie_word_embeddings: false,
            eos_token_id: None,
        }
    }
}

#[derive(Deserialize)]
struct RawRope {
    rope_type: Option<String>,
    /// The older name of `rope_type`; some files hold both.
    r#type: Option<String>,
    rope_theta: Option<f64>,
    mrope_section: Option<[i64; 3]>,
}

impl RawText {
    fn resolve(self, tied: bool) -> Result<TextConfig> {
        let sliding = match &self.layer_types {
            Some(layers) => layers.iter().any(|layer| layer != "full_attention"),
            None => {
                self.use_sliding_window == Some(true)
                    && self.max_window_layers.unwrap_or(80) < self.num_hidden_layers
            }
        };
        if sliding {
            return refuse(
                "layers with sliding attention are not supported: no released Qwen2.5-VL has any"
                    .to_owned(),
            );
        }
        let Some(rope) = self.rope_parameters.or(self.rope_scaling) else {
            return refuse("rope_scaling with its mrope_section is missing".to_owned());
        };
        let kind = rope.rope_type.as_deref().or(rope.r#type.as_deref());
        if !matches!(kind, None | Some("default" | "mrope")) {
            return refuse(format!(
                "rotary scaling {kind:?} is not supported, only mrope is"
            ));
        }
        let Some(mrope_section) = rope.mrope_section else {
            return refuse("the rotary settings have no mrope_section".to_owned());
        };
        Ok(TextConfig {
            vocab_size: self.vocab_size,
            hidden_size: self.hidden_size,
            intermediate_size: self.intermediate_size,
            layers: self.num_hidden_layers,
            heads: self.num_attention_heads,
            kv_heads: self.num_key_value_heads.unwrap_or(self.num_attention_heads),
            rope_theta: rope.rope_theta.unwrap_or(self.rope_theta),
            mrope_section,
            rms_norm_eps: self.rms_norm_eps,
            activation: self.hidden_act,
            tied: tied || self.tie_word_embeddings,
        })
    }
}
