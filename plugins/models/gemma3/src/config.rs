//! `config.json` of a Gemma 3 checkpoint.
//!
//! Files on the hub are sparse: what they leave out takes the default of the reference's
//! configuration classes (`configuration_gemma3.py`, `configuration_siglip.py`), which are not the
//! values of any released model. Three spellings of the layer pattern and of the rotary settings
//! exist (hub, transformers 4.57, transformers 5); [`Config`] holds what they resolve to.

use std::path::Path;

use medfocus_lvlm::generation::Ids;
use medfocus_lvlm::network::Grid;
use medfocus_torch::settings;
use serde::Deserialize;

use crate::{Error, Result};

/// The resolved configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The decoder.
    pub text: TextConfig,
    /// The SigLIP tower.
    pub vision: VisionConfig,
    /// Image tokens in the sequence for each image; a square number.
    pub tokens_per_image: i64,
    /// Id of the token that stands for one image feature.
    pub image_token: i64,
    /// Id of the token that opens an image block.
    pub begin_image: i64,
    /// Id of the token that closes an image block.
    pub end_image: i64,
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
    /// Query heads.
    pub heads: i64,
    /// Key and value heads; divides `heads`.
    pub kv_heads: i64,
    /// Width of one head; not `hidden_size / heads`.
    pub head_dim: i64,
    /// Attention scores are multiplied by this number to the power of -1/2.
    pub query_pre_attn_scalar: f64,
    /// Tokens a sliding layer sees, itself included.
    pub sliding_window: i64,
    /// Reach of each layer, from the bottom.
    pub layers: Vec<Reach>,
    /// Rotary settings of the full layers.
    pub rope_full: Rope,
    /// Rotary settings of the sliding layers.
    pub rope_sliding: Rope,
    /// Epsilon of every RMSNorm.
    pub rms_norm_eps: f64,
    /// Whether the attention projections have biases.
    pub attention_bias: bool,
    /// Whether logits reuse the embedding table.
    pub tied: bool,
    /// Id of the token that begins every sequence.
    pub bos: i64,
}

/// How far back a layer sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Reach {
    /// The last `sliding_window` tokens.
    #[serde(rename = "sliding_attention")]
    Sliding,
    /// All tokens before.
    #[serde(rename = "full_attention")]
    Full,
}

/// Rotary position embedding.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rope {
    /// Base of the wavelengths.
    pub theta: f64,
    /// All frequencies are divided by this (linear scaling); 1 means none.
    pub factor: f64,
}

/// The SigLIP tower.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct VisionConfig {
    /// Width of the patch features.
    pub hidden_size: i64,
    /// Width inside the MLP.
    pub intermediate_size: i64,
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
    /// Epsilon of the layer norms, and of the projector's RMSNorm.
    pub layer_norm_eps: f64,
    hidden_act: String,
}

impl Default for VisionConfig {
    fn default() -> Self {
        Self {
            hidden_size: 768,
            intermediate_size: 3072,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            num_channels: 3,
            image_size: 224,
            patch_size: 16,
            layer_norm_eps: 1e-6,
            hidden_act: GELU_TANH.to_owned(),
        }
    }
}

impl VisionConfig {
    /// Patches along one side of the image.
    pub fn patches_per_side(&self) -> i64 {
        self.image_size / self.patch_size
    }
}

impl Config {
    /// Reads `config.json` of a checkpoint folder.
    pub fn from_folder(folder: &Path) -> Result<Self> {
        settings::config(folder, "Gemma 3", Self::parse)
    }

    /// Reads the text of a `config.json`.
    pub fn parse(text: &str) -> Result<Self> {
        let raw: RawConfig = settings::parse_json(text)?;
        settings::check_architecture(
            &raw.model_type,
            "gemma3",
            "Gemma 3 and MedGemma with their image tower",
        )?;
        let config = Self {
            eos: raw
                .eos_token_id
                .or(raw.text_config.eos_token_id.clone())
                .map_or(vec![1], Ids::into_vec),
            text: raw.text_config.resolve(raw.tie_word_embeddings)?,
            vision: raw.vision_config,
            tokens_per_image: raw.mm_tokens_per_image,
            image_token: match (raw.image_token_index, raw.image_token_id) {
                (Some(index), Some(id)) if index != id => {
                    return refuse(format!(
                        "image_token_index is {index}, but image_token_id {id}"
                    ));
                }
                (index, id) => index.or(id).unwrap_or(DEFAULT_IMAGE),
            },
            begin_image: raw.boi_token_index,
            end_image: raw.eoi_token_index,
        };
        config.check()?;
        Ok(config)
    }

    /// The image tokens of every image.
    pub fn grid(&self) -> Grid {
        let side = self.grid_side() as usize;
        Grid {
            rows: side,
            columns: side,
        }
    }

    /// Image tokens along one side of the image.
    pub fn grid_side(&self) -> i64 {
        self.tokens_per_image.isqrt()
    }

    fn check(&self) -> Result<()> {
        let (text, vision) = (&self.text, &self.vision);
        for (name, value) in [
            ("vocab_size", text.vocab_size),
            ("hidden_size", text.hidden_size),
            ("intermediate_size", text.intermediate_size),
            ("num_attention_heads", text.heads),
            ("num_key_value_heads", text.kv_heads),
            ("head_dim", text.head_dim),
            ("sliding_window", text.sliding_window),
            ("vision hidden_size", vision.hidden_size),
            ("vision intermediate_size", vision.intermediate_size),
            ("vision num_attention_heads", vision.num_attention_heads),
            ("patch_size", vision.patch_size),
            ("image_size", vision.image_size),
            ("mm_tokens_per_image", self.tokens_per_image),
        ] {
            if value < 1 {
                return refuse(format!("{name} is {value}"));
            }
        }
        if text.layers.is_empty() {
            return refuse("num_hidden_layers is 0".to_owned());
        }
        if text.heads % text.kv_heads != 0 {
            return refuse(format!(
                "{} query heads cannot share {} key heads",
                text.heads, text.kv_heads
            ));
        }
        if text.head_dim % 2 != 0 {
            return refuse(format!(
                "head_dim {} is odd, so it cannot be rotated",
                text.head_dim
            ));
        }
        if vision.hidden_size % vision.num_attention_heads != 0 {
            return refuse(format!(
                "vision hidden_size {} is not a multiple of its {} heads",
                vision.hidden_size, vision.num_attention_heads
            ));
        }
        if vision.num_channels != 3 {
            return refuse(format!(
                "the image tower has {} channels instead of 3",
                vision.num_channels
            ));
        }
        let (side, patches) = (self.grid_side(), vision.patches_per_side());
        if side * side != self.tokens_per_image || side > patches || patches % side != 0 {
            return refuse(format!(
                "{} image tokens cannot be pooled from {patches} x {patches} patches",
                self.tokens_per_image
            ));
        }
        if vision.hidden_act != GELU_TANH {
            return refuse(format!(
                "vision hidden_act {:?} is not {GELU_TANH}",
                vision.hidden_act
            ));
        }
        Ok(())
    }
}

const GELU_TANH: &str = "gelu_pytorch_tanh";

fn refuse<T>(reason: String) -> Result<T> {
    Err(Error::Config(reason))
}

/// The file as written.
#[derive(Deserialize)]
struct RawConfig {
    #[serde(default)]
    model_type: String,
    #[serde(default)]
    text_config: RawText,
    #[serde(default)]
    vision_config: VisionConfig,
    #[serde(default = "default_tokens_per_image")]
    mm_tokens_per_image: i64,
    #[serde(default = "default_boi", alias = "boi_token_id")]
    boi_token_index: i64,
    #[serde(default = "default_eoi", alias = "eoi_token_id")]
    eoi_token_index: i64,
    image_token_index: Option<i64>,
    /// The same, as transformers 5 writes it; some files hold both.
    image_token_id: Option<i64>,
    eos_token_id: Option<Ids>,
    tie_word_embeddings: Option<bool>,
}

fn default_tokens_per_image() -> i64 {
    256
}
fn default_boi() -> i64 {
    255_999
}
fn default_eoi() -> i64 {
    256_000
}
const DEFAULT_IMAGE: i64 = 262_144;

/// `text_config` as written.
#[derive(Deserialize)]
#[serde(default)]
struct RawText {
    vocab_size: i64,
    hidden_size: i64,
    intermediate_size: i64,
    num_hidden_layers: usize,
    num_attention_heads: i64,
    num_key_value_heads: i64,
    head_dim: i64,
    query_pre_attn_scalar: f64,
    sliding_window: i64,
    layer_types: Option<Vec<Reach>>,
    sliding_window_pattern: Option<usize>,
    /// Written by transformers 4.57 beside or instead of the name above.
    _sliding_window_pattern: Option<usize>,
    rope_theta: f64,
    rope_local_base_freq: f64,
    rope_scaling: Option<RawRope>,
    /// The spelling of transformers 5: one entry for each kind of layer.
    rope_parameters: Option<RopeParameters>,
    rms_norm_eps: f64,
    attention_bias: bool,
    hidden_activation: String,
    use_bidirectional_attention: Option<bool>,
    tie_word_embeddings: Option<bool>,
    bos_token_id: Option<i64>,
    eos_token_id: Option<Ids>,
}

impl Default for RawText {
    fn default() -> Self {
        Self {
            vocab_size: 262_208,
            hidden_size: 2304,
            intermediate_size: 9216,
            num_hidden_layers: 26,
            num_attention_heads: 8,
            num_key_value_heads: 4,
            head_dim: 256,
            query_pre_attn_scalar: 256.0,
            sliding_window: 4096,
            layer_types: None,
            sliding_window_pattern: None,
            _sliding_window_pattern: None,
            rope_theta: 1e6,
            rope_local_base_freq: 1e4,
            rope_scaling: None,
            rope_parameters: None,
            rms_norm_eps: 1e-6,
            attention_bias: false,
            hidden_activation: GELU_TANH.to_owned(),
            use_bidirectional_attention: None,
            tie_word_embeddings: None,
            bos_token_id: None,
            eos_token_id: None,
        }
    }
}

#[derive(Deserialize)]
struct RopeParameters {
    full_attention: RawRope,
    sliding_attention: RawRope,
}

#[derive(Deserialize)]
struct RawRope {
    rope_type: Option<String>,
    /// The older name of `rope_type`; some files hold both.
    r#type: Option<String>,
    factor: Option<f64>,
    rope_theta: Option<f64>,
}

impl RawRope {
    fn resolve(&self, theta: f64) -> Result<Rope> {
        let factor = match (
            self.rope_type.as_deref().or(self.r#type.as_deref()),
            self.factor,
        ) {
            (None | Some("default"), _) => 1.0,
            (Some("linear"), Some(factor)) if factor > 0.0 => factor,
            (kind, factor) => {
                return refuse(format!(
                    "rotary scaling {kind:?} with factor {factor:?} is not supported, only linear scaling is"
                ));
            }
        };
        Ok(Rope {
            theta: self.rope_theta.unwrap_or(theta),
            factor,
        })
    }
}

impl RawText {
    fn resolve(self, tied: Option<bool>) -> Result<TextConfig> {
        if self.hidden_activation != GELU_TANH {
            return refuse(format!(
                "hidden_activation {:?} is not {GELU_TANH}",
                self.hidden_activation
            ));
        }
        if self.use_bidirectional_attention == Some(true) {
            return refuse(
                "use_bidirectional_attention makes an encoder, which cannot answer".to_owned(),
            );
        }
        let layers = match self.layer_types {
            Some(layers) if layers.len() == self.num_hidden_layers => layers,
            Some(layers) => {
                return refuse(format!(
                    "layer_types lists {} layers where num_hidden_layers says {}",
                    layers.len(),
                    self.num_hidden_layers
                ));
            }
            None => {
                let pattern = self
                    .sliding_window_pattern
                    .or(self._sliding_window_pattern)
                    .unwrap_or(6)
                    .max(1);
                let reach = |layer: usize| {
                    if layer.is_multiple_of(pattern) {
                        Reach::Full
                    } else {
                        Reach::Sliding
                    }
                };
                (1..=self.num_hidden_layers).map(reach).collect()
            }
        };
        let (rope_full, rope_sliding) = match (&self.rope_parameters, &self.rope_scaling) {
            (Some(new), _) => (
                new.full_attention.resolve(self.rope_theta)?,
                new.sliding_attention.resolve(self.rope_local_base_freq)?,
            ),
            (None, scaling) => {
                let plain = |theta| Rope { theta, factor: 1.0 };
                let full = scaling.as_ref().map_or(Ok(plain(self.rope_theta)), |raw| {
                    raw.resolve(self.rope_theta)
                })?;
                (full, plain(self.rope_local_base_freq))
            }
        };
        Ok(TextConfig {
            vocab_size: self.vocab_size,
            hidden_size: self.hidden_size,
            intermediate_size: self.intermediate_size,
            heads: self.num_attention_heads,
            kv_heads: self.num_key_value_heads,
            head_dim: self.head_dim,
            query_pre_attn_scalar: self.query_pre_attn_scalar,
            sliding_window: self.sliding_window,
            layers,
            rope_full,
            rope_sliding,
            rms_norm_eps: self.rms_norm_eps,
            attention_bias: self.attention_bias,
            tied: tied.or(self.tie_word_embeddings).unwrap_or(true),
            bos: self.bos_token_id.unwrap_or(2),
        })
    }
}
