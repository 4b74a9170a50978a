//! The two-way transformer: tokens and image attend to each other in turn.

use medfocus_torch::nn::{LayerNorm, Linear, fused_attention, merge_heads, split_heads};
use medfocus_torch::tch::Tensor;
use medfocus_torch::weights::Weights;

use crate::Result;
use crate::config::{DecoderConfig, LAYER_DOWNSAMPLE_RATE};
use crate::layers::Mlp;

/// Epsilon of the last norm, which is torch's own and not the configuration's.
const FINAL_NORM_EPS: f64 = 1e-5;

/// The two-way transformer.
#[derive(Debug)]
pub struct TwoWayTransformer {
    layers: Vec<TwoWayLayer>,
    final_attention: Attention,
    final_norm: LayerNorm,
}

/// Attention between tokens and image is narrower than the tokens.
#[derive(Debug)]
struct Attention {
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
    heads: i64,
    scale: f64,
}

#[derive(Debug)]
struct TwoWayLayer {
    self_attention: Attention,
    norm1: LayerNorm,
    token_to_image: Attention,
    norm2: LayerNorm,
    mlp: Mlp,
    norm3: LayerNorm,
    image_to_token: Attention,
    norm4: LayerNorm,
    /// Whether this is the first layer, where queries are still their own positions: its self-attention adds
    /// no positions, and its output takes the place of the queries.
    first: bool,
}

impl TwoWayTransformer {
    /// Takes its parameters under `name`.
    pub fn new(config: &DecoderConfig, weights: &Weights, name: &str) -> Result<Self> {
        Ok(Self {
            layers: (0..config.num_hidden_layers)
                .map(|layer| TwoWayLayer::new(config, weights, name, layer))
                .collect::<Result<_>>()?,
            final_attention: Attention::new(
                config,
                weights,
                &format!("{name}.final_attn_token_to_image"),
                config.attention_downsample_rate,
            )?,
            final_norm: LayerNorm::new(
                weights,
                &format!("{name}.layer_norm_final_attn"),
                config.hidden_size,
                FINAL_NORM_EPS,
            )?,
        })
    }

    /// Tokens `[boxes, tokens, width]` and image `[boxes, places, width]`, with the code of each place, to both
    /// in the same shapes.
    pub fn forward(
        &self,
        tokens: &Tensor,
        image: &Tensor,
        places: &Tensor,
    ) -> Result<(Tensor, Tensor)> {
        let (mut queries, mut keys) = (tokens.shallow_clone(), image.shallow_clone());
        for layer in &self.layers {
            (queries, keys) = layer.forward(&queries, &keys, tokens, places)?;
        }
        let found =
            self.final_attention
                .forward(&queries.f_add(tokens)?, &keys.f_add(places)?, &keys)?;
        Ok((self.final_norm.forward(&queries.f_add(&found)?)?, keys))
    }
}

impl TwoWayLayer {
    fn new(config: &DecoderConfig, weights: &Weights, name: &str, layer: i64) -> Result<Self> {
        let name = format!("{name}.layers.{layer}");
        let (width, narrow) = (config.hidden_size, LAYER_DOWNSAMPLE_RATE);
        let norm = |leaf: &str| {
            LayerNorm::new(
                weights,
                &format!("{name}.{leaf}"),
                width,
                config.layer_norm_eps,
            )
        };
        let attention =
            |leaf: &str, rate| Attention::new(config, weights, &format!("{name}.{leaf}"), rate);
        Ok(Self {
            self_attention: attention("self_attn", 1)?,
            norm1: norm("layer_norm1")?,
            token_to_image: attention("cross_attn_token_to_image", narrow)?,
            norm2: norm("layer_norm2")?,
            mlp: Mlp::new(
                weights,
                &format!("{name}.mlp"),
                width,
                config.mlp_dim,
                config.hidden_act,
            )?,
            norm3: norm("layer_norm3")?,
            image_to_token: attention("cross_attn_image_to_token", narrow)?,
            norm4: norm("layer_norm4")?,
            first: layer == 0,
        })
    }

    fn forward(
        &self,
        queries: &Tensor,
        keys: &Tensor,
        tokens: &Tensor,
        places: &Tensor,
    ) -> Result<(Tensor, Tensor)> {
        let queries = if self.first {
            self.self_attention.forward(queries, queries, queries)?
        } else {
            let placed = queries.f_add(tokens)?;
            queries.f_add(&self.self_attention.forward(&placed, &placed, queries)?)?
        };
        let queries = self.norm1.forward(&queries)?;
        let placed_keys = keys.f_add(places)?;
        let seen = self
            .token_to_image
            .forward(&queries.f_add(tokens)?, &placed_keys, keys)?;
        let queries = self.norm2.forward(&queries.f_add(&seen)?)?;
        let queries = self
            .norm3
            .forward(&queries.f_add(&self.mlp.forward(&queries)?)?)?;
        let told = self
            .image_to_token
            .forward(&placed_keys, &queries.f_add(tokens)?, &queries)?;
        let keys = self.norm4.forward(&keys.f_add(&told)?)?;
        Ok((queries, keys))
    }
}

impl Attention {
    fn new(config: &DecoderConfig, weights: &Weights, name: &str, rate: i64) -> Result<Self> {
        let (width, heads) = (config.hidden_size, config.num_attention_heads);
        let inner = width / rate;
        let linear = |leaf: &str, inputs, outputs| {
            Linear::new(weights, &format!("{name}.{leaf}"), inputs, outputs, true)
        };
        Ok(Self {
            query: linear("q_proj", width, inner)?,
            key: linear("k_proj", width, inner)?,
            value: linear("v_proj", width, inner)?,
            out: linear("out_proj", inner, width)?,
            heads,
            scale: ((inner / heads) as f64).powf(-0.5),
        })
    }

    fn forward(&self, query: &Tensor, key: &Tensor, value: &Tensor) -> Result<Tensor> {
        let q = split_heads(&self.query.forward(query)?, self.heads)?;
        let k = split_heads(&self.key.forward(key)?, self.heads)?;
        let v = split_heads(&self.value.forward(value)?, self.heads)?;
        let mixed = fused_attention(&q, &k, &v, None, self.scale)?;
        self.out.forward(&merge_heads(&mixed)?)
    }
}
