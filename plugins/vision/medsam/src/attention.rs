//! Attention with decomposed relative positions, in windows or over the whole image.

use medfocus_torch::nn::Linear;
use medfocus_torch::tch::{Kind, Tensor};
use medfocus_torch::weights::Weights;

use crate::Result;
use crate::config::VisionConfig;

/// Self-attention among the patches of a window, or of the whole image.
///
/// The score of query q at (y, x) and key k at (v, u) is `q k / sqrt(d) + q H[y - v] + q W[x - u]`, with learned
/// vectors H and W for each distance (Li et al., MViTv2, CVPR 2022).
#[derive(Debug)]
pub struct PatchAttention {
    qkv: Linear,
    out: Linear,
    relative: Option<Relative>,
    heads: i64,
    window: Option<i64>,
}

/// Vectors of the distances along each axis, `[query, key, head width]`.
#[derive(Debug)]
struct Relative {
    rows: Tensor,
    columns: Tensor,
}

impl PatchAttention {
    /// Takes its parameters under `name`; the layer's number decides whether it has windows.
    pub fn new(config: &VisionConfig, weights: &Weights, name: &str, layer: i64) -> Result<Self> {
        let (width, heads) = (config.hidden_size, config.num_attention_heads);
        let window = config.window(layer);
        let side = window.unwrap_or(config.grid());
        let table = |leaf: &str| {
            let vectors = weights.get(&format!("{name}.{leaf}"), &[2 * side - 1, width / heads])?;
            by_distance(&vectors, side)
        };
        let relative = || {
            Ok::<_, crate::Error>(Relative {
                rows: table("rel_pos_h")?,
                columns: table("rel_pos_w")?,
            })
        };
        Ok(Self {
            qkv: Linear::new(
                weights,
                &format!("{name}.qkv"),
                width,
                3 * width,
                config.qkv_bias,
            )?,
            out: Linear::new(weights, &format!("{name}.proj"), width, width, true)?,
            relative: config.use_rel_pos.then(relative).transpose()?,
            heads,
            window,
        })
    }

    /// `[images, rows, columns, width]` to the same shape.
    ///
    /// Where windows overhang the image they hold zeros, which are attended to like patches: their keys and
    /// values are the biases.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (images, rows, columns, width) = x.size4()?;
        let Some(side) = self.window else {
            return self.attend(x);
        };
        let overhang = |size: i64| (side - size % side) % side;
        let (below, right) = (overhang(rows), overhang(columns));
        let (down, across) = ((rows + below) / side, (columns + right) / side);
        let windows = x
            .f_constant_pad_nd([0, 0, 0, right, 0, below])?
            .f_reshape([images, down, side, across, side, width])?
            .f_permute([0, 1, 3, 2, 4, 5])?
            .f_reshape([-1, side, side, width])?;
        Ok(self
            .attend(&windows)?
            .f_reshape([images, down, across, side, side, width])?
            .f_permute([0, 1, 3, 2, 4, 5])?
            .f_reshape([images, down * side, across * side, width])?
            .f_narrow(1, 0, rows)?
            .f_narrow(2, 0, columns)?)
    }

    /// Attention inside each of `[windows, side, side, width]`.
    ///
    /// One head at a time: at 64 x 64 patches the positions of one head take 64 MB.
    fn attend(&self, x: &Tensor) -> Result<Tensor> {
        let (windows, rows, columns, width) = x.size4()?;
        let (tokens, head_width) = (rows * columns, width / self.heads);
        let qkv = self
            .qkv
            .forward(x)?
            .f_reshape([windows, tokens, 3, self.heads, head_width])?;
        let mixed = (0..self.heads)
            .map(|head| {
                let part = |which| {
                    qkv.f_select(2, which)?
                        .f_narrow(2, head, 1)?
                        .f_transpose(1, 2)
                };
                let (q, k, v) = (part(0)?, part(1)?, part(2)?);
                let positions = match &self.relative {
                    Some(relative) => Some(relative.scores(&q, rows, columns)?),
                    None => None,
                };
                let scale = (head_width as f64).powf(-0.5);
                let mixed = Tensor::f_scaled_dot_product_attention(
                    &q, &k, &v, positions, 0.0, false, scale, false,
                )?;
                Ok(mixed.f_squeeze_dim(1)?)
            })
            .collect::<Result<Vec<_>>>()?;
        let mixed = Tensor::f_cat(&mixed, -1)?.f_reshape([windows, rows, columns, width])?;
        self.out.forward(&mixed)
    }
}

impl Relative {
    /// What positions add to the scores of one head's queries `[windows, 1, tokens, head width]`:
    /// `[windows, 1, tokens, tokens]`.
    fn scores(&self, q: &Tensor, rows: i64, columns: i64) -> Result<Tensor> {
        let (windows, _, tokens, width) = q.size4()?;
        let q = q.f_reshape([windows, rows, columns, width])?;
        let along = |equation, table| Tensor::f_einsum(equation, &[&q, table], None::<i64>);
        let by_row = along("byxc,yvc->byxv", &self.rows)?.f_unsqueeze(-1)?;
        let by_column = along("byxc,xuc->byxu", &self.columns)?.f_unsqueeze(-2)?;
        Ok(by_row
            .f_add(&by_column)?
            .f_reshape([windows, 1, tokens, tokens])?)
    }
}

/// The vector of each pair of places: `vectors` `[2 side - 1, width]`, from distance `1 - side` up, to
/// `[side, side, width]`.
fn by_distance(vectors: &Tensor, side: i64) -> Result<Tensor> {
    let places = Tensor::f_arange(side, (Kind::Int64, vectors.device()))?;
    let distances = places
        .f_unsqueeze(1)?
        .f_sub(&places)?
        .f_add_scalar(side - 1)?;
    Ok(vectors
        .f_index_select(0, &distances.f_flatten(0, -1)?)?
        .f_reshape([side, side, -1])?)
}
