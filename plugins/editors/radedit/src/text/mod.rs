//! The text encoder: BERT, as CXR-BERT and BioViL-T are.
//!
//! Follows `modeling_bert.py` of transformers 4.57.3; `tests/networks/text.rs` compares it with values written by the reference.

pub mod tokenizer;

use std::path::Path;

use medfocus_torch::nn::{
    Activation, LayerNorm, Linear, fused_attention, merge_heads, split_heads,
};
use medfocus_torch::settings;
use medfocus_torch::tch::{Device, Kind, Tensor};
use medfocus_torch::weights::Weights;
use serde::Deserialize;

use crate::{Error, Result};

/// What of `config.json` shapes the network; what a file leaves out takes the reference's default.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Words.
    pub vocab_size: i64,
    /// Width of a token.
    pub hidden_size: i64,
    /// Layers.
    pub num_hidden_layers: i64,
    /// Attention heads.
    pub num_attention_heads: i64,
    /// Width inside the MLP.
    pub intermediate_size: i64,
    /// Activation of the MLP.
    pub hidden_act: Activation,
    /// Tokens at most.
    pub max_position_embeddings: i64,
    /// Kinds of text; only the first is used.
    pub type_vocab_size: i64,
    /// Epsilon of the norms.
    pub layer_norm_eps: f64,
    /// How positions are told; only `absolute` is run.
    pub position_embedding_type: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            vocab_size: 30522,
            hidden_size: 768,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            intermediate_size: 3072,
            hidden_act: Activation::Gelu,
            max_position_embeddings: 512,
            type_vocab_size: 2,
            layer_norm_eps: 1e-12,
            position_embedding_type: None,
        }
    }
}

impl Config {
    /// Reads `config.json` of the folder.
    pub fn from_folder(folder: &Path) -> Result<Self> {
        settings::config(folder, "BERT", |text| {
            let config: Self = settings::parse_json(text)?;
            config.check()?;
            Ok(config)
        })
    }

    fn check(&self) -> Result<()> {
        let positions = self
            .position_embedding_type
            .as_deref()
            .unwrap_or("absolute");
        let sizes = [
            self.vocab_size,
            self.hidden_size,
            self.num_hidden_layers,
            self.num_attention_heads,
            self.intermediate_size,
            self.max_position_embeddings,
            self.type_vocab_size,
        ];
        if sizes.iter().any(|size| !(1..=1 << 24).contains(size)) {
            return Err(Error::Config(
                "a size of the text encoder is out of range".to_owned(),
            ));
        }
        if self.hidden_size % self.num_attention_heads != 0 {
            return Err(Error::Config(format!(
                "hidden_size {} is no multiple of num_attention_heads {}",
                self.hidden_size, self.num_attention_heads
            )));
        }
        if positions != "absolute" {
            return Err(Error::Config(format!(
                "position_embedding_type is {positions:?}, only \"absolute\" is run"
            )));
        }
        Ok(())
    }
}

/// The encoder.
#[derive(Debug)]
pub struct TextEncoder {
    words: Tensor,
    positions: Tensor,
    kinds: Tensor,
    norm: LayerNorm,
    layers: Vec<Layer>,
}

impl TextEncoder {
    /// Reads a checkpoint folder onto `device` in `kind`. Heads that such checkpoints carry are left aside.
    ///
    /// # Errors
    ///
    /// A file that is missing or broken, or a tensor that is missing or of another shape.
    pub fn load(folder: &Path, device: Device, kind: Kind) -> Result<Self> {
        let config = Config::from_folder(folder)?;
        Self::new(&config, &Weights::open(folder, device, kind)?)
    }

    /// The network of a configuration and these weights, named with or without `bert.` before.
    pub fn new(config: &Config, weights: &Weights) -> Result<Self> {
        let prefixed = weights.contains("bert.embeddings.word_embeddings.weight");
        let prefix = if prefixed { "bert." } else { "" };
        let width = config.hidden_size;
        let table = |name: &str, rows: i64| {
            weights.get(
                &format!("{prefix}embeddings.{name}_embeddings.weight"),
                &[rows, width],
            )
        };
        Ok(Self {
            words: table("word", config.vocab_size)?,
            positions: table("position", config.max_position_embeddings)?,
            kinds: table("token_type", config.type_vocab_size)?,
            norm: LayerNorm::new(
                weights,
                &format!("{prefix}embeddings.LayerNorm"),
                width,
                config.layer_norm_eps,
            )?,
            layers: (0..config.num_hidden_layers)
                .map(|number| {
                    Layer::new(weights, &format!("{prefix}encoder.layer.{number}"), config)
                })
                .collect::<Result<_>>()?,
        })
    }

    /// States of the last layer, `[1, tokens, width]`, of these words. Where `seen` says false, nobody looks.
    ///
    /// # Errors
    ///
    /// More tokens than there are positions, or a word beyond the table.
    pub fn forward(&self, words: &[i64], seen: Option<&[bool]>) -> Result<Tensor> {
        let count = words.len() as i64;
        let device = self.words.device();
        let words = Tensor::f_from_slice(words)?.f_to_device(device)?;
        let mut x = self.words.f_index_select(0, &words)?;
        x = x.f_add(&self.positions.f_narrow(0, 0, count)?)?;
        x = x.f_add(&self.kinds.f_narrow(0, 0, 1)?)?;
        x = self.norm.forward(&x.f_unsqueeze(0)?)?;
        let seen = match seen {
            Some(seen) => {
                let seen = Tensor::f_from_slice(seen)?.f_to_device(device)?;
                Some(seen.f_reshape([1, 1, 1, count])?)
            }
            None => None,
        };
        for layer in &self.layers {
            x = layer.forward(&x, seen.as_ref())?;
        }
        Ok(x)
    }
}

/// Attention, then an MLP, each added to its input and normed afterwards.
#[derive(Debug)]
struct Layer {
    query: Linear,
    key: Linear,
    value: Linear,
    mixed: Linear,
    norm1: LayerNorm,
    inner: Linear,
    outer: Linear,
    norm2: LayerNorm,
    heads: i64,
    scale: f64,
    activation: Activation,
}

impl Layer {
    fn new(weights: &Weights, name: &str, config: &Config) -> Result<Self> {
        let (width, inner) = (config.hidden_size, config.intermediate_size);
        let linear = |leaf: &str, inputs, outputs| {
            Linear::new(weights, &format!("{name}.{leaf}"), inputs, outputs, true)
        };
        let norm = |leaf: &str| {
            LayerNorm::new(
                weights,
                &format!("{name}.{leaf}"),
                width,
                config.layer_norm_eps,
            )
        };
        Ok(Self {
            query: linear("attention.self.query", width, width)?,
            key: linear("attention.self.key", width, width)?,
            value: linear("attention.self.value", width, width)?,
            mixed: linear("attention.output.dense", width, width)?,
            norm1: norm("attention.output.LayerNorm")?,
            inner: linear("intermediate.dense", width, inner)?,
            outer: linear("output.dense", inner, width)?,
            norm2: norm("output.LayerNorm")?,
            heads: config.num_attention_heads,
            scale: ((width / config.num_attention_heads) as f64).powf(-0.5),
            activation: config.hidden_act,
        })
    }

    fn forward(&self, x: &Tensor, seen: Option<&Tensor>) -> Result<Tensor> {
        let split = |projection: &Linear| split_heads(&projection.forward(x)?, self.heads);
        let (q, k, v) = (split(&self.query)?, split(&self.key)?, split(&self.value)?);
        let mixed = merge_heads(&fused_attention(&q, &k, &v, seen, self.scale)?)?;
        let x = self
            .norm1
            .forward(&x.f_add(&self.mixed.forward(&mixed)?)?)?;
        let inner = self.activation.apply(&self.inner.forward(&x)?)?;
        self.norm2.forward(&x.f_add(&self.outer.forward(&inner)?)?)
    }
}
