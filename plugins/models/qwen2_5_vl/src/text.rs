//! The layers of the Qwen2.5-VL decoder (`modeling_qwen2_5_vl.py`), and what they must know of a pass.

use medfocus_lvlm::attention::{Attend, attend};
use medfocus_lvlm::cache::Cache;
use medfocus_lvlm::decoder;
use medfocus_lvlm::mask::Mask;
use medfocus_lvlm::network::Grid;
use medfocus_torch::nn::{GatedMlp, Linear, RmsNorm, Rotary, frequencies, split_heads};
use medfocus_torch::tch::{Device, Kind, Tensor};
use medfocus_torch::weights::Weights;

use crate::config::TextConfig;
use crate::{Error, Result};

/// What the layers need to know about the tokens of one forward pass.
#[derive(Debug)]
pub struct Pass {
    /// How many tokens came before.
    first: i64,
    /// How many there are.
    count: i64,
    /// The position of the text token after them.
    next: i64,
    rotary: Rotary,
    /// `None` for a single new token, which sees all that the cache holds.
    mask: Option<Mask>,
}

impl Pass {
    /// A whole sequence with images of this grid.
    pub fn prefill(
        config: &TextConfig,
        ids: &[i64],
        image_token: i64,
        grid: Grid,
        options: (Kind, Device),
    ) -> Result<Self> {
        let (positions, next) = positions(ids, image_token, grid)?;
        let text = vec![-1; ids.len()];
        Ok(Self {
            first: 0,
            count: ids.len() as i64,
            next,
            rotary: rotary(config, &positions, options)?,
            mask: Some(Mask::new(&text, None, options.1)?),
        })
    }

    /// One new text token, after this prefill with a cache and so many other new tokens.
    pub fn step(
        &self,
        config: &TextConfig,
        generated: usize,
        options: (Kind, Device),
    ) -> Result<Self> {
        let generated = generated as i64;
        let position = self.next + generated;
        let positions = std::array::from_fn(|_| vec![position]);
        Ok(Self {
            first: self.count + generated,
            count: 1,
            next: position + 1,
            rotary: rotary(config, &positions, options)?,
            mask: None,
        })
    }
}

/// Rotary tables of these positions (M-RoPE): the first frequencies of a head turn with time, the next with the row, the last
/// with the column.
fn rotary(
    config: &TextConfig,
    positions: &[Vec<i64>; 3],
    (kind, device): (Kind, Device),
) -> Result<Rotary> {
    let inverse = frequencies(config.rope_theta, config.head_dim(), device)?;
    let mut sections = Vec::new();
    let mut begin = 0;
    for (positions, width) in positions.iter().zip(config.mrope_section) {
        let positions = Tensor::f_from_slice(positions)?
            .f_to_device(device)?
            .f_to_kind(Kind::Float)?;
        let inverse = inverse.f_narrow(0, begin, width)?;
        sections.push(positions.f_unsqueeze(1)?.f_mul(&inverse)?);
        begin += width;
    }
    Rotary::new(&Tensor::f_cat(&sections, -1)?, kind)
}

/// Time, row and column of each token, and the position after the last (Wang et al. 2024, section 2.1).
///
/// A text token stands at one position on all three axes. The tokens of an image share the time at which it begins, and spread
/// over rows and columns from there; text goes on after the largest.
pub fn positions(ids: &[i64], image_token: i64, grid: Grid) -> Result<([Vec<i64>; 3], i64)> {
    let mut axes = [const { Vec::new() }; 3];
    let (mut next, mut at) = (0, 0);
    while at < ids.len() {
        if ids[at] != image_token {
            axes.iter_mut().for_each(|axis| axis.push(next));
            next += 1;
            at += 1;
            continue;
        }
        let block = &ids[at..];
        if block.len() < grid.tokens()
            || block[..grid.tokens()].iter().any(|&id| id != image_token)
            || block.get(grid.tokens()) == Some(&image_token)
        {
            return Err(Error::Request(format!(
                "an image has not its {} x {} tokens in the sequence",
                grid.rows, grid.columns
            )));
        }
        for row in 0..grid.rows as i64 {
            for column in 0..grid.columns as i64 {
                let places = [next, next + row, next + column];
                axes.iter_mut()
                    .zip(places)
                    .for_each(|(axis, at)| axis.push(at));
            }
        }
        next += grid.rows.max(grid.columns) as i64;
        at += grid.tokens();
    }
    Ok((axes, next))
}

/// A layer.
#[derive(Debug)]
pub struct Layer {
    index: usize,
    input_norm: RmsNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
    post_attention_norm: RmsNorm,
    mlp: GatedMlp,
    heads: i64,
    kv_heads: i64,
    scale: f64,
}

impl Layer {
    /// Takes its parameters under `name`.
    pub fn new(config: &TextConfig, index: usize, weights: &Weights, name: &str) -> Result<Self> {
        let (hidden, width) = (config.hidden_size, config.head_dim());
        let norm = |leaf: &str| {
            RmsNorm::plain(
                weights,
                &format!("{name}.{leaf}"),
                hidden,
                config.rms_norm_eps,
            )
        };
        let linear = |leaf: &str, inputs, outputs, bias| {
            let name = format!("{name}.self_attn.{leaf}");
            Linear::new(weights, &name, inputs, outputs, bias)
        };
        Ok(Self {
            index,
            input_norm: norm("input_layernorm")?,
            query: linear("q_proj", hidden, config.heads * width, true)?,
            key: linear("k_proj", hidden, config.kv_heads * width, true)?,
            value: linear("v_proj", hidden, config.kv_heads * width, true)?,
            out: linear("o_proj", config.heads * width, hidden, false)?,
            post_attention_norm: norm("post_attention_layernorm")?,
            mlp: GatedMlp::new(
                weights,
                &format!("{name}.mlp"),
                hidden,
                config.intermediate_size,
                false,
                config.activation,
            )?,
            heads: config.heads,
            kv_heads: config.kv_heads,
            scale: (width as f64).powf(-0.5),
        })
    }

    fn attend(
        &self,
        x: &Tensor,
        pass: &Pass,
        how: Attend<'_>,
        cache: Option<&mut Cache>,
    ) -> Result<Tensor> {
        let q = split_heads(&self.query.forward(x)?, self.heads)?;
        let k = split_heads(&self.key.forward(x)?, self.kv_heads)?;
        let mut v = split_heads(&self.value.forward(x)?, self.kv_heads)?;
        let (q, mut k) = (pass.rotary.rotate(&q)?, pass.rotary.rotate(&k)?);
        if let Some(cache) = cache {
            (k, v) = cache.extend(self.index, pass.first, &k, &v)?;
        }
        let mixed = attend(&q, &k, &v, pass.mask.as_ref(), self.scale, how)?;
        self.out.forward(&mixed)
    }
}

impl decoder::Layer for Layer {
    type Pass = Pass;

    fn forward(
        &self,
        x: &Tensor,
        pass: &Pass,
        how: Attend<'_>,
        cache: Option<&mut Cache>,
    ) -> Result<Tensor> {
        let attended = self.attend(&self.input_norm.forward(x)?, pass, how, cache)?;
        let x = x.f_add(&attended)?;
        let normed = self.post_attention_norm.forward(&x)?;
        Ok(x.f_add(&self.mlp.forward(&normed)?)?)
    }
}
