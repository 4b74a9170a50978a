//! The Gemma 3 decoder (`modeling_gemma3.py`).
//!
//! Each layer is a method call of its own, so that a caller can look at the hidden state between
//! two layers or cut the gradient there.

use medfocus_lvlm::attention::attend;
use medfocus_lvlm::cache::Cache;
use medfocus_lvlm::mask::Mask;
use medfocus_lvlm::network::Attend;
use medfocus_torch::nn::{Activation, GatedMlp, Linear, RmsNorm, Rotary, frequencies, split_heads};
use medfocus_torch::tch::{Device, Kind, Tensor};
use medfocus_torch::weights::Weights;

use crate::Result;
use crate::config::{Reach, Rope, TextConfig};

/// The decoder.
#[derive(Debug)]
pub struct Decoder {
    config: TextConfig,
    embedding: Tensor,
    /// Square root of the width, rounded to the format of the weights (50.5, not 50.596, in bf16).
    embedding_scale: Tensor,
    layers: Vec<Layer>,
    norm: RmsNorm,
    /// The output table; the embedding itself when they are tied.
    head: Tensor,
}

/// What the layers need to know about the tokens of one forward pass.
#[derive(Debug)]
pub struct Pass {
    /// Position of the first token.
    first: i64,
    /// How many there are.
    count: i64,
    full: View,
    sliding: View,
}

/// Positions and visibility for one kind of layer.
#[derive(Debug)]
struct View {
    rotary: Rotary,
    /// `None` for a single new token, which sees all that the cache holds within its reach.
    mask: Option<Mask>,
}

impl Decoder {
    /// Takes its parameters under `prefix`, and the untied output table under `head`.
    pub fn new(config: &TextConfig, weights: &Weights, prefix: &str, head: &str) -> Result<Self> {
        let table = [config.vocab_size, config.hidden_size];
        let embedding = weights.get(&format!("{prefix}.embed_tokens.weight"), &table)?;
        let scale = (config.hidden_size as f64).sqrt();
        Ok(Self {
            embedding_scale: Tensor::f_full(
                [] as [i64; 0],
                scale,
                (embedding.f_kind()?, embedding.device()),
            )?,
            layers: (0..config.layers.len())
                .map(|layer| {
                    Layer::new(config, layer, weights, &format!("{prefix}.layers.{layer}"))
                })
                .collect::<Result<_>>()?,
            norm: RmsNorm::one_plus(
                weights,
                &format!("{prefix}.norm"),
                config.hidden_size,
                config.rms_norm_eps,
            )?,
            head: if config.tied {
                embedding.shallow_clone()
            } else {
                weights.get(head, &table)?
            },
            embedding,
            config: config.clone(),
        })
    }

    /// Number of layers.
    pub fn depth(&self) -> usize {
        self.layers.len()
    }

    /// A pass over whole sequences; `block` is the image block of each token ([`medfocus_lvlm::mask::image_blocks`]).
    pub fn prefill(&self, block: &[i64]) -> Result<Pass> {
        let mask = |window| Mask::new(block, window, self.device()).map(Some);
        self.pass(
            0,
            block.len() as i64,
            mask(None)?,
            mask(Some(self.config.sliding_window))?,
        )
    }

    /// A pass over one new text token, after a prefill with a cache and so many other new tokens.
    pub fn step(&self, prefill: &Pass, generated: usize) -> Result<Pass> {
        self.pass(prefill.count + generated as i64, 1, None, None)
    }

    fn pass(
        &self,
        first: i64,
        count: i64,
        full: Option<Mask>,
        sliding: Option<Mask>,
    ) -> Result<Pass> {
        let float = (Kind::Float, self.device());
        let positions = Tensor::f_arange_start(first, first + count, float)?;
        let view = |rope, mask| -> Result<View> {
            let angles = angles(rope, self.config.head_dim, &positions)?;
            Ok(View {
                rotary: Rotary::new(&angles, self.embedding.f_kind()?)?,
                mask,
            })
        };
        Ok(Pass {
            first,
            count,
            full: view(self.config.rope_full, full)?,
            sliding: view(self.config.rope_sliding, sliding)?,
        })
    }

    /// Token ids `[..]` to scaled embeddings `[.., hidden]`.
    pub fn embed(&self, ids: &Tensor) -> Result<Tensor> {
        let rows = Tensor::f_embedding(&self.embedding, ids, -1, false, false)?;
        Ok(rows.f_mul(&self.embedding_scale)?)
    }

    /// Layer `index` on `[batch, tokens, hidden]`.
    pub fn layer(
        &self,
        index: usize,
        hidden: &Tensor,
        pass: &Pass,
        attend: Attend<'_>,
        cache: Option<&mut Cache>,
    ) -> Result<Tensor> {
        self.layers[index].forward(hidden, pass, attend, cache)
    }

    /// The norm after the last layer.
    pub fn finish(&self, hidden: &Tensor) -> Result<Tensor> {
        self.norm.forward(hidden)
    }

    /// Final hidden states `[.., hidden]` to logits `[.., vocabulary]`.
    pub fn logits(&self, finished: &Tensor) -> Result<Tensor> {
        Ok(finished.f_linear(&self.head, None::<&Tensor>)?)
    }

    /// Where the weights are.
    pub fn device(&self) -> Device {
        self.embedding.device()
    }

    /// The number format of the weights.
    pub fn kind(&self) -> Result<Kind> {
        Ok(self.embedding.f_kind()?)
    }
}

#[derive(Debug)]
struct Layer {
    index: usize,
    reach: Reach,
    window: i64,
    input_norm: RmsNorm,
    attention: Attention,
    post_attention_norm: RmsNorm,
    pre_mlp_norm: RmsNorm,
    mlp: GatedMlp,
    post_mlp_norm: RmsNorm,
}

#[derive(Debug)]
struct Attention {
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
    query_norm: RmsNorm,
    key_norm: RmsNorm,
    heads: i64,
    kv_heads: i64,
    scale: f64,
}

impl Layer {
    fn new(config: &TextConfig, index: usize, weights: &Weights, name: &str) -> Result<Self> {
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let norm = |leaf: &str| {
            RmsNorm::one_plus(
                weights,
                &format!("{name}.{leaf}"),
                hidden,
                config.rms_norm_eps,
            )
        };
        Ok(Self {
            index,
            reach: config.layers[index],
            window: config.sliding_window,
            input_norm: norm("input_layernorm")?,
            attention: Attention::new(config, weights, &format!("{name}.self_attn"))?,
            post_attention_norm: norm("post_attention_layernorm")?,
            pre_mlp_norm: norm("pre_feedforward_layernorm")?,
            mlp: GatedMlp::new(
                weights,
                &format!("{name}.mlp"),
                hidden,
                inner,
                false,
                Activation::GeluTanh,
            )?,
            post_mlp_norm: norm("post_feedforward_layernorm")?,
        })
    }

    fn forward(
        &self,
        x: &Tensor,
        pass: &Pass,
        attend: Attend<'_>,
        cache: Option<&mut Cache>,
    ) -> Result<Tensor> {
        let attended = self.attend(&self.input_norm.forward(x)?, pass, attend, cache)?;
        let x = x.f_add(&self.post_attention_norm.forward(&attended)?)?;
        let inner = self.mlp.forward(&self.pre_mlp_norm.forward(&x)?)?;
        Ok(x.f_add(&self.post_mlp_norm.forward(&inner)?)?)
    }

    fn attend(
        &self,
        x: &Tensor,
        pass: &Pass,
        how: Attend<'_>,
        cache: Option<&mut Cache>,
    ) -> Result<Tensor> {
        let view = match self.reach {
            Reach::Full => &pass.full,
            Reach::Sliding => &pass.sliding,
        };
        let (q, mut k, mut v) = self.attention.project(x, &view.rotary)?;
        if let Some(cache) = cache {
            (k, v) = cache.extend(self.index, pass.first, &k, &v)?;
        }
        if let (None, Reach::Sliding) = (&view.mask, self.reach) {
            let seen = k.size4()?.2.min(self.window);
            (k, v) = (k.f_slice(2, -seen, None, 1)?, v.f_slice(2, -seen, None, 1)?);
        }
        let mask = view.mask.as_ref();
        let mixed = attend(&q, &k, &v, mask, self.attention.scale, how)?;
        self.attention.out.forward(&mixed)
    }
}

impl Attention {
    fn new(config: &TextConfig, weights: &Weights, name: &str) -> Result<Self> {
        let (hidden, width) = (config.hidden_size, config.head_dim);
        let linear = |leaf: &str, inputs, outputs| {
            Linear::new(
                weights,
                &format!("{name}.{leaf}"),
                inputs,
                outputs,
                config.attention_bias,
            )
        };
        let norm = |leaf: &str| {
            RmsNorm::one_plus(
                weights,
                &format!("{name}.{leaf}"),
                width,
                config.rms_norm_eps,
            )
        };
        Ok(Self {
            query: linear("q_proj", hidden, config.heads * width)?,
            key: linear("k_proj", hidden, config.kv_heads * width)?,
            value: linear("v_proj", hidden, config.kv_heads * width)?,
            out: linear("o_proj", config.heads * width, hidden)?,
            query_norm: norm("q_norm")?,
            key_norm: norm("k_norm")?,
            heads: config.heads,
            kv_heads: config.kv_heads,
            scale: config.query_pre_attn_scalar.powf(-0.5),
        })
    }

    /// Normalised and rotated queries and keys, and values: `[batch, heads, tokens, head_dim]`.
    fn project(&self, x: &Tensor, rotary: &Rotary) -> Result<(Tensor, Tensor, Tensor)> {
        let q = split_heads(&self.query.forward(x)?, self.heads)?;
        let k = split_heads(&self.key.forward(x)?, self.kv_heads)?;
        let v = split_heads(&self.value.forward(x)?, self.kv_heads)?;
        let q = rotary.rotate(&self.query_norm.forward(&q)?)?;
        let k = rotary.rotate(&self.key_norm.forward(&k)?)?;
        Ok((q, k, v))
    }
}

/// Angles `[positions, width / 2]` of these positions (f32), frequencies scaled linearly.
pub fn angles(rope: Rope, width: i64, positions: &Tensor) -> Result<Tensor> {
    let inverse = frequencies(rope.theta, width, positions.device())?.f_div_scalar(rope.factor)?;
    Ok(positions.f_unsqueeze(1)?.f_mul(&inverse.f_unsqueeze(0)?)?)
}
