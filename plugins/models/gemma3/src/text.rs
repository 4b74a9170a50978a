//! The layers of the Gemma 3 decoder (`modeling_gemma3.py`), and what they must know of a pass.

use medfocus_lvlm::attention::{Attend, attend};
use medfocus_lvlm::cache::Cache;
use medfocus_lvlm::decoder;
use medfocus_lvlm::mask::Mask;
use medfocus_torch::nn::{Activation, GatedMlp, Linear, RmsNorm, Rotary, frequencies, split_heads};
use medfocus_torch::tch::{Device, Kind, Tensor};
use medfocus_torch::weights::Weights;

use crate::Result;
use crate::config::{Reach, Rope, TextConfig};

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

impl Pass {
    /// Whole sequences; `block` is the image block of each token ([`medfocus_lvlm::mask::image_blocks`]).
    pub fn prefill(config: &TextConfig, block: &[i64], options: (Kind, Device)) -> Result<Self> {
        let mask = |window| Mask::new(block, window, options.1).map(Some);
        let masks = [mask(None)?, mask(Some(config.sliding_window))?];
        Self::new(config, 0, block.len() as i64, masks, options)
    }

    /// One new text token, after this prefill with a cache and so many other new tokens.
    pub fn step(
        &self,
        config: &TextConfig,
        generated: usize,
        options: (Kind, Device),
    ) -> Result<Self> {
        let first = self.count + generated as i64;
        Self::new(config, first, 1, [None, None], options)
    }

    fn new(
        config: &TextConfig,
        first: i64,
        count: i64,
        [full, sliding]: [Option<Mask>; 2],
        (kind, device): (Kind, Device),
    ) -> Result<Self> {
        let positions = Tensor::f_arange_start(first, first + count, (Kind::Float, device))?;
        let view = |rope, mask| -> Result<View> {
            let angles = angles(rope, config.head_dim, &positions)?;
            Ok(View {
                rotary: Rotary::new(&angles, kind)?,
                mask,
            })
        };
        Ok(Self {
            first,
            count,
            full: view(config.rope_full, full)?,
            sliding: view(config.rope_sliding, sliding)?,
        })
    }
}

/// A layer.
#[derive(Debug)]
pub struct Layer {
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
    /// Takes its parameters under `name`.
    pub fn new(config: &TextConfig, index: usize, weights: &Weights, name: &str) -> Result<Self> {
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

impl decoder::Layer for Layer {
    type Pass = Pass;

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
