//! The encoder of BERT (Devlin et al. 2019): attention and an MLP, each added to its input and then normalised.

use medfocus_torch::nn::{
    Activation, LayerNorm, Linear, fused_attention, merge_heads, split_heads,
};
use medfocus_torch::tch::{Kind, Tensor};
use medfocus_torch::weights::Weights;

use super::config::Config;
use crate::diffusers::count;
use crate::{Error, Result};

/// The encoder.
#[derive(Debug)]
pub struct Encoder {
    words: Tensor,
    /// What is added to the words of every text: embeddings of the positions, and of the first kind of token.
    places: Tensor,
    norm: LayerNorm,
    layers: Vec<Layer>,
    parameters: u64,
}

impl Encoder {
    /// Takes `embeddings` and `encoder.layer.N`, below `bert` or not; what belongs to the heads above it is left alone.
    ///
    /// # Errors
    ///
    /// A tensor that is missing, of another shape, or left over.
    pub fn new(config: &Config, weights: &Weights) -> Result<Self> {
        let prefixed = weights.contains("bert.embeddings.word_embeddings.weight");
        let prefix = if prefixed { "bert." } else { "" };
        let mut encoder = Self::build(config, weights, prefix)?;
        weights.check_unused(|name| {
            let name = name.strip_prefix(prefix).unwrap_or(name);
            ["cls.", "cls_projection_head.", "pooler."]
                .iter()
                .any(|head| name.starts_with(head))
                || name == "embeddings.position_ids"
        })?;
        let blueprint = Weights::blueprint();
        Self::build(config, &blueprint, prefix)?;
        encoder.parameters = count(&blueprint.wanted());
        Ok(encoder)
    }

    fn build(config: &Config, weights: &Weights, prefix: &str) -> Result<Self> {
        let width = config.hidden_size;
        let table = |leaf: &str, rows| {
            weights.get(&format!("{prefix}embeddings.{leaf}.weight"), &[rows, width])
        };
        let positions = table("position_embeddings", config.max_position_embeddings)?;
        let kinds = table("token_type_embeddings", config.type_vocab_size)?;
        let norm = format!("{prefix}embeddings.LayerNorm");
        let layer = |n| Layer::new(weights, &format!("{prefix}encoder.layer.{n}"), config);
        Ok(Self {
            words: table("word_embeddings", config.vocab_size)?,
            places: positions.f_add(&kinds.f_narrow(0, 0, 1)?)?,
            norm: LayerNorm::new(weights, &norm, width, config.layer_norm_eps)?,
            layers: (0..config.num_hidden_layers)
                .map(layer)
                .collect::<Result<_>>()?,
            parameters: 0,
        })
    }

    /// Width of a state.
    pub fn width(&self) -> i64 {
        self.places.size().last().copied().unwrap_or_default()
    }

    /// How many numbers it is made of.
    pub fn parameters(&self) -> u64 {
        self.parameters
    }

    /// The states `[1, tokens, width]` of a text's last layer, from its tokens. They attend to the first `own` alone, if
    /// that is given.
    pub fn forward(&self, ids: &[i64], own: Option<usize>) -> Result<Tensor> {
        let (length, most) = (ids.len() as i64, self.places.size2()?.0);
        let known = 0..self.words.size2()?.0;
        if length > most || !ids.iter().all(|id| known.contains(id)) {
            return Err(Error::Request(format!(
                "a text must have at most {most} tokens below {}",
                known.end
            )));
        }
        let device = self.words.device();
        let seen = own
            .map(|own| -> Result<Tensor> {
                let places = Tensor::f_arange(length, (Kind::Int64, device))?;
                Ok(places.f_less(own as i64)?.f_reshape([1, 1, 1, length])?)
            })
            .transpose()?;
        let words = self
            .words
            .f_index_select(0, &Tensor::f_from_slice(ids)?.f_to_device(device)?)?;
        let x = words.f_add(&self.places.f_narrow(0, 0, length)?)?;
        let mut x = self.norm.forward(&x.f_unsqueeze(0)?)?;
        for layer in &self.layers {
            x = layer.forward(&x, seen.as_ref())?;
        }
        Ok(x)
    }
}

#[derive(Debug)]
struct Layer {
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
    attention_norm: LayerNorm,
    inner: Linear,
    outer: Linear,
    norm: LayerNorm,
    activation: Activation,
    heads: i64,
    scale: f64,
}

impl Layer {
    fn new(weights: &Weights, name: &str, config: &Config) -> Result<Self> {
        let (width, inner) = (config.hidden_size, config.intermediate_size);
        let linear = |leaf: &str, inputs, outputs| {
            Linear::new(weights, &format!("{name}.{leaf}"), inputs, outputs, true)
        };
        let norm = |leaf: &str| {
            let name = format!("{name}.{leaf}");
            LayerNorm::new(weights, &name, width, config.layer_norm_eps)
        };
        Ok(Self {
            query: linear("attention.self.query", width, width)?,
            key: linear("attention.self.key", width, width)?,
            value: linear("attention.self.value", width, width)?,
            out: linear("attention.output.dense", width, width)?,
            attention_norm: norm("attention.output.LayerNorm")?,
            inner: linear("intermediate.dense", width, inner)?,
            outer: linear("output.dense", inner, width)?,
            norm: norm("output.LayerNorm")?,
            activation: config.hidden_act,
            heads: config.num_attention_heads,
            scale: ((width / config.num_attention_heads) as f64).powf(-0.5),
        })
    }

    fn forward(&self, x: &Tensor, seen: Option<&Tensor>) -> Result<Tensor> {
        let split = |projection: &Linear| split_heads(&projection.forward(x)?, self.heads);
        let (q, k, v) = (split(&self.query)?, split(&self.key)?, split(&self.value)?);
        let mixed = merge_heads(&fused_attention(&q, &k, &v, seen, self.scale)?)?;
        let x = self
            .attention_norm
            .forward(&self.out.forward(&mixed)?.f_add(x)?)?;
        let inner = self.activation.apply(&self.inner.forward(&x)?)?;
        self.norm.forward(&self.outer.forward(&inner)?.f_add(&x)?)
    }
}
