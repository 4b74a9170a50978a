//! The image tower (`modeling_qwen2_5_vl.py`): patches of any grid, attention in windows and over the whole, and the merger
//! that makes one image token of each square of patches.
//!
//! Patches stay row by row throughout, `[images, rows, columns, width]`. The reference reorders them so that those of an image
//! token, and those of a window, are neighbours; nothing depends on that order but where the numbers lie.

use medfocus_torch::nn::{
    GatedMlp, Linear, RmsNorm, Rotary, frequencies, fused_attention, merge_heads, split_heads,
};
use medfocus_torch::tch::{Kind, Tensor};
use medfocus_torch::weights::Weights;

use crate::Result;
use crate::config::VisionConfig;

/// Epsilon of every norm, whatever the configuration says.
const EPS: f64 = 1e-6;
/// Base of the rotary wavelengths.
const THETA: f64 = 1e4;

/// The tower.
#[derive(Debug)]
pub struct VisionTower {
    /// `[width, 3, frames, side, side]`.
    patches: Tensor,
    blocks: Vec<Block>,
    merger: Merger,
}

impl VisionTower {
    /// Takes its parameters under `base`.
    pub fn new(config: &VisionConfig, weights: &Weights, base: &str) -> Result<Self> {
        let (side, frames) = (config.patch_size, config.temporal_patch_size);
        Ok(Self {
            patches: weights.get(
                &format!("{base}.patch_embed.proj.weight"),
                &[config.hidden_size, config.in_channels, frames, side, side],
            )?,
            blocks: (0..config.depth)
                .map(|block| Block::new(config, block, weights, &format!("{base}.blocks.{block}")))
                .collect::<Result<_>>()?,
            merger: Merger::new(config, weights, &format!("{base}.merger"))?,
        })
    }

    /// Number of stages: the patch embedding, each block, the merger.
    pub fn stages(&self) -> usize {
        self.blocks.len() + 2
    }

    /// Runs one stage on the output of the one before: pixels `[images, 3, height, width]` to patches, patches to patches,
    /// patches to image features `[images, tokens, hidden]`.
    pub fn stage(&self, stage: usize, x: &Tensor) -> Result<Tensor> {
        match stage.checked_sub(1) {
            None => self.embed(x),
            Some(block) => match self.blocks.get(block) {
                Some(block) => block.forward(x),
                None => self.merger.forward(x),
            },
        }
    }

    /// A convolution over time too, as the reference has it: a matrix product would round otherwise.
    fn embed(&self, pixels: &Tensor) -> Result<Tensor> {
        let (images, channels, height, width) = pixels.size4()?;
        let [_, _, frames, side, _] = self.patches.size()[..] else {
            unreachable!("the shape was checked when it was read")
        };
        let patches = pixels
            .f_unsqueeze(2)?
            .f_expand([images, channels, frames, height, width], false)?
            .f_conv3d(
                &self.patches,
                None::<&Tensor>,
                [frames, side, side],
                [0, 0, 0],
                [1, 1, 1],
                1,
            )?;
        Ok(patches
            .f_squeeze_dim(2)?
            .f_permute([0, 2, 3, 1])?
            .f_contiguous()?)
    }
}

#[derive(Debug)]
struct Block {
    norm1: RmsNorm,
    qkv: Linear,
    out: Linear,
    norm2: RmsNorm,
    mlp: GatedMlp,
    heads: i64,
    /// Side of the windows that it attends in, patches; the whole image without.
    window: Option<i64>,
}

impl Block {
    fn new(config: &VisionConfig, index: i64, weights: &Weights, name: &str) -> Result<Self> {
        let width = config.hidden_size;
        let norm = |leaf: &str| RmsNorm::plain(weights, &format!("{name}.{leaf}"), width, EPS);
        let linear = |leaf: &str, outputs| {
            Linear::new(
                weights,
                &format!("{name}.attn.{leaf}"),
                width,
                outputs,
                true,
            )
        };
        let whole = config.fullatt_block_indexes.contains(&index);
        Ok(Self {
            norm1: norm("norm1")?,
            qkv: linear("qkv", 3 * width)?,
            out: linear("proj", width)?,
            norm2: norm("norm2")?,
            mlp: GatedMlp::new(
                weights,
                &format!("{name}.mlp"),
                width,
                config.intermediate_size,
                true,
                config.hidden_act,
            )?,
            heads: config.num_heads,
            window: (!whole).then(|| config.window()),
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = x.f_add(&self.attend(&self.norm1.forward(x)?)?)?;
        Ok(x.f_add(&self.mlp.forward(&self.norm2.forward(&x)?)?)?)
    }

    fn attend(&self, x: &Tensor) -> Result<Tensor> {
        let (images, rows, columns, width) = x.size4()?;
        let rotary = Rotary::new(&angles(rows, columns, width / self.heads, x)?, Kind::Float)?;
        let kind = x.f_kind()?;
        let flat = self
            .qkv
            .forward(x)?
            .f_reshape([images, rows * columns, 3 * width])?;
        let parts = flat.f_chunk(3, -1)?;
        // Rotated in f32 whatever the format.
        let rotated = |part: &Tensor| -> Result<Tensor> {
            let heads = split_heads(&part.f_to_kind(Kind::Float)?, self.heads)?;
            merge_heads(&rotary.rotate(&heads)?.f_to_kind(kind)?)
        };
        let qkv = Tensor::f_cat(&[&rotated(&parts[0])?, &rotated(&parts[1])?, &parts[2]], -1)?
            .f_reshape([images, rows, columns, 3 * width])?;
        let mixed = in_windows(&qkv, self.window.unwrap_or(rows.max(columns)), |window| {
            let heads = window
                .f_chunk(3, -1)?
                .iter()
                .map(|part| split_heads(part, self.heads))
                .collect::<Result<Vec<_>>>()?;
            let scale = ((width / self.heads) as f64).powf(-0.5);
            merge_heads(&fused_attention(
                &heads[0], &heads[1], &heads[2], None, scale,
            )?)
        })?;
        self.out.forward(&mixed)
    }
}

/// Rotary angles `[rows * columns, width / 2]` of patches by row and column: the first half of the frequencies turns with the
/// row, the second with the column. On the device of `like`.
fn angles(rows: i64, columns: i64, width: i64, like: &Tensor) -> Result<Tensor> {
    let inverse = frequencies(THETA, width / 2, like.device())?;
    let along = |count: i64| -> Result<Tensor> {
        let positions = Tensor::f_arange(count, (Kind::Float, like.device()))?;
        Ok(positions.f_unsqueeze(1)?.f_mul(&inverse)?)
    };
    let grid = [rows, columns, width / 4];
    let by_row = along(rows)?.f_unsqueeze(1)?.f_expand(grid, false)?;
    let by_column = along(columns)?.f_unsqueeze(0)?.f_expand(grid, false)?;
    Ok(Tensor::f_cat(&[by_row, by_column], -1)?.f_reshape([rows * columns, width / 2])?)
}

/// Applies `attend`, `[windows, patches, channels]` to `[windows, patches, width]`, within each window of patches
/// `[images, rows, columns, channels]`. Windows tile the image from its upper left; what is left over on the right and below
/// makes smaller ones.
fn in_windows(x: &Tensor, side: i64, attend: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    let (images, rows, columns, channels) = x.size4()?;
    let mut bands = Vec::new();
    for (top, height, tall) in spans(rows, side) {
        let mut parts = Vec::new();
        for (left, width, wide) in spans(columns, side) {
            let (down, across) = (height / tall, width / wide);
            let windows = x
                .f_narrow(1, top, height)?
                .f_narrow(2, left, width)?
                .f_reshape([images, down, tall, across, wide, channels])?
                .f_permute([0, 1, 3, 2, 4, 5])?
                .f_reshape([images * down * across, tall * wide, channels])?;
            let attended = attend(&windows)?
                .f_reshape([images, down, across, tall, wide, -1])?
                .f_permute([0, 1, 3, 2, 4, 5])?
                .f_reshape([images, height, width, -1])?;
            parts.push(attended);
        }
        bands.push(Tensor::f_cat(&parts, 2)?);
    }
    Ok(Tensor::f_cat(&bands, 1)?)
}

/// A length as its whole windows and the rest: start, length and window of each.
fn spans(length: i64, side: i64) -> impl Iterator<Item = (i64, i64, i64)> {
    let whole = length / side * side;
    let rest = length - whole;
    [(0, whole, side), (whole, rest, rest)]
        .into_iter()
        .filter(|&(_, length, _)| length > 0)
}

/// Squares of patches to image features (`Qwen2_5_VLPatchMerger`).
#[derive(Debug)]
struct Merger {
    norm: RmsNorm,
    inner: Linear,
    outer: Linear,
    side: i64,
}

impl Merger {
    fn new(config: &VisionConfig, weights: &Weights, name: &str) -> Result<Self> {
        let side = config.spatial_merge_size;
        let square = side * side * config.hidden_size;
        let linear = |leaf: &str, outputs| {
            Linear::new(
                weights,
                &format!("{name}.mlp.{leaf}"),
                square,
                outputs,
                true,
            )
        };
        Ok(Self {
            norm: RmsNorm::plain(weights, &format!("{name}.ln_q"), config.hidden_size, EPS)?,
            inner: linear("0", square)?,
            outer: linear("2", config.out_hidden_size)?,
            side,
        })
    }

    fn forward(&self, patches: &Tensor) -> Result<Tensor> {
        let (images, rows, columns, width) = patches.size4()?;
        let (side, down, across) = (self.side, rows / self.side, columns / self.side);
        let squares = self
            .norm
            .forward(patches)?
            .f_reshape([images, down, side, across, side, width])?
            .f_permute([0, 1, 3, 2, 4, 5])?
            .f_reshape([images, down * across, side * side * width])?;
        self.outer
            .forward(&self.inner.forward(&squares)?.f_gelu("none")?)
    }
}
