//! Where training starts.
//!
//! A transformer needs very many images to find out that neighbouring patches belong together. The
//! tower is therefore started as a convolutional network (Cordonnier et al., "On the relationship
//! between self-attention and convolutional layers", ICLR 2020): sinusoidal positions let each head
//! look at a fixed neighbour, and the patch embedding is a scaled cosine transform of the patch.
//! Everything stays free to be learnt otherwise.

use std::collections::BTreeMap;
use std::f64::consts::PI;

use anyhow::Result;
use medfocus_model_gemma3::Gemma3;
use medfocus_model_gemma3::config::Config;
use medfocus_torch::tch::{Device, Kind, Tensor};

use crate::architecture::{PATCH_SIDE, PATCHES_PER_SIDE, TOWER_HEADS, TOWER_WIDTH};

const FLOAT: (Kind, Device) = (Kind::Float, Device::Cpu);
/// Wave numbers of the positions, per axis.
const WAVES: usize = 4;
/// Channels that hold the position: sine and cosine of each wave, on two axes.
const POSITION_CHANNELS: usize = 4 * WAVES;
/// Radians per patch of the longest wave: longer than the image, so that positions are unique.
const LONGEST: f64 = 0.4;
/// How far each layer's heads look at first, patches.
const REACH: [f64; 3] = [1.0, 1.0, 2.0];
/// The eight neighbours, one for each head.
const NEIGHBOURS: [(f64, f64); TOWER_HEADS] = [
    (-1.0, -1.0),
    (-1.0, 0.0),
    (-1.0, 1.0),
    (0.0, -1.0),
    (0.0, 1.0),
    (1.0, -1.0),
    (1.0, 0.0),
    (1.0, 1.0),
];
/// Gain of queries and keys: a patch one off gets a few percent of a neighbour's weight.
const SHARPNESS: f64 = 1.8;

/// Fresh parameters for this configuration, by their names in the checkpoint. `pixels` are images to
/// scale the patch embedding by.
pub fn parameters(config: &Config, pixels: &Tensor) -> Result<BTreeMap<String, Tensor>> {
    let shapes = Gemma3::parameters(config)?;
    Ok(shapes
        .into_iter()
        .map(|(name, shape)| {
            let values = initial(&name, &shape, pixels)
                .copy()
                .set_requires_grad(true);
            (name, values)
        })
        .collect())
}

fn initial(name: &str, shape: &[i64], pixels: &Tensor) -> Tensor {
    let normal = |deviation: f64| Tensor::randn(shape, FLOAT) * deviation;
    // Linear weights are [outputs, inputs]; this keeps the scale of what passes through.
    let keep = shape
        .last()
        .map_or(1.0, |&inputs| (inputs as f64).powf(-0.5));
    let ends = |end: &str| name.ends_with(end);
    if ends("patch_embedding.weight") {
        patch_embedding(pixels)
    } else if ends("position_embedding.weight") {
        positions()
    } else if ends("mm_input_projection_weight") {
        normal((TOWER_WIDTH as f64).powf(-0.5))
    } else if ends("embed_tokens.weight") {
        normal(keep)
    } else if ends("bias") {
        Tensor::zeros(shape, FLOAT)
    } else if name.contains("layer_norm") || ends("post_layernorm.weight") {
        Tensor::ones(shape, FLOAT)
    } else if ends("norm.weight") {
        // The decoder stores the scale of its norms as the difference from one.
        Tensor::zeros(shape, FLOAT)
    } else if let Some((layer, projection)) = tower_attention(name) {
        match projection {
            "q_proj" => looking_at(Some(REACH[layer.min(REACH.len() - 1)])) + normal(0.3 * keep),
            "k_proj" => looking_at(None) + normal(0.3 * keep),
            "out_proj" => normal(0.5 * keep),
            _ => normal(keep),
        }
    } else if ends("fc2.weight") {
        normal(0.5 * keep)
    } else {
        normal(keep)
    }
}

/// Layer and projection of an attention weight of the tower.
fn tower_attention(name: &str) -> Option<(usize, &str)> {
    let rest = name.strip_prefix("vision_tower.vision_model.encoder.layers.")?;
    let (layer, rest) = rest.split_once(".self_attn.")?;
    Some((layer.parse().ok()?, rest.strip_suffix(".weight")?))
}

/// Sine and cosine of each wave in the last channels, and nothing in the others: `[patches, width]`.
fn positions() -> Tensor {
    let side = PATCHES_PER_SIDE;
    let mut table = vec![0f32; side * side * TOWER_WIDTH];
    for (patch, row) in table.chunks_exact_mut(TOWER_WIDTH).enumerate() {
        let place = [(patch / side) as f64, (patch % side) as f64];
        for (channel, value) in row[TOWER_WIDTH - POSITION_CHANNELS..]
            .iter_mut()
            .enumerate()
        {
            let (axis, wave, sine) = position_channel(channel);
            let angle = wave * place[axis];
            *value = (2f64.sqrt() * if sine { angle.sin() } else { angle.cos() }) as f32;
        }
    }
    Tensor::from_slice(&table).reshape([(side * side) as i64, TOWER_WIDTH as i64])
}

/// Axis, radians per patch, and whether sine, of a position channel.
fn position_channel(channel: usize) -> (usize, f64, bool) {
    let wave = LONGEST * (channel / 2 % WAVES + 1) as f64;
    (channel / (2 * WAVES), wave, channel % 2 == 1)
}

/// The projection `[heads * width, width]` that copies the position of the patch itself (keys), or of
/// the neighbour at this reach (queries): turning each wave by its phase moves the position.
fn looking_at(reach: Option<f64>) -> Tensor {
    let width = TOWER_WIDTH / TOWER_HEADS;
    let mut weight = vec![0f32; TOWER_WIDTH * TOWER_WIDTH];
    for (head, (down, right)) in NEIGHBOURS.into_iter().enumerate() {
        for channel in 0..POSITION_CHANNELS.min(width) {
            let (axis, wave, sine) = position_channel(channel);
            let phase = wave * reach.unwrap_or(0.0) * [down, right][axis];
            let row = &mut weight[(head * width + channel) * TOWER_WIDTH..][..TOWER_WIDTH];
            let position = &mut row[TOWER_WIDTH - POSITION_CHANNELS..];
            let (other, sign) = if sine {
                (channel - 1, 1.0)
            } else {
                (channel + 1, -1.0)
            };
            position[channel] = (SHARPNESS * phase.cos()) as f32;
            position[other] = (SHARPNESS * sign * phase.sin()) as f32;
        }
    }
    Tensor::from_slice(&weight).reshape([TOWER_WIDTH as i64, TOWER_WIDTH as i64])
}

/// The cosine transform of a patch, each coefficient scaled to about one, then random mixtures of the
/// coefficients; nothing in the channels of the position. `[width, 3, patch, patch]`.
fn patch_embedding(pixels: &Tensor) -> Tensor {
    let side = PATCH_SIDE as i64;
    let size = side * side;
    let axis = Tensor::arange(side, FLOAT);
    let angles = (&axis + 0.5).unsqueeze(0) * axis.unsqueeze(1) * (PI / side as f64);
    let basis = angles.cos();
    let basis = &basis / basis.square().sum_dim_intlist(1, true, Kind::Float).sqrt();
    // Row (u, v) is the outer product of the basis vectors u and v.
    let transform = basis.kron(&basis);
    let patches = pixels
        .narrow(1, 0, 1)
        .unfold(2, side, side)
        .unfold(3, side, side)
        .reshape([-1, size]);
    let spread = patches
        .matmul(&transform.transpose(0, 1))
        .std_dim(0, true, true);
    // The added constant keeps the grain of the film, in the highest coefficients, small.
    let scaled = &transform / (spread.transpose(0, 1) + 0.1);
    let mixtures = TOWER_WIDTH as i64 - POSITION_CHANNELS as i64 - size;
    let mixed = (Tensor::randn([mixtures, size], FLOAT) / PATCH_SIDE as f64).matmul(&scaled);
    let blank = Tensor::zeros([POSITION_CHANNELS as i64, size], FLOAT);
    let grey = Tensor::cat(&[scaled, mixed, blank], 0).reshape([TOWER_WIDTH as i64, 1, side, side]);
    grey.expand([TOWER_WIDTH as i64, 3, side, side], false) / 3.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_head_looks_at_its_neighbour() {
        let reach = 1;
        let (table, side) = (positions(), PATCHES_PER_SIDE as i64);
        let project = |weight: Tensor| {
            let heads = table.matmul(&weight.transpose(0, 1));
            heads
                .reshape([side * side, TOWER_HEADS as i64, -1])
                .transpose(0, 1)
        };
        let queries = project(looking_at(Some(f64::from(reach))));
        let favourite = queries
            .matmul(&project(looking_at(None)).transpose(1, 2))
            .argmax(2, false);
        for (head, (down, right)) in NEIGHBOURS.into_iter().enumerate() {
            for (row, column) in
                (1..side - 1).flat_map(|row| (1..side - 1).map(move |column| (row, column)))
            {
                let wanted = (row + down as i64) * side + column + right as i64;
                assert_eq!(
                    favourite.int64_value(&[head as i64, row * side + column]),
                    wanted
                );
            }
        }
    }

    #[test]
    fn the_patch_embedding_sees_every_pixel_once() {
        medfocus_torch::tch::manual_seed(0);
        let pixels = Tensor::randn([4, 3, 112, 112], FLOAT);
        let size = (PATCH_SIDE * PATCH_SIDE) as i64;
        let rows = patch_embedding(&pixels)
            .narrow(1, 0, 1)
            .reshape([-1, size])
            .narrow(0, 0, size);
        let unit = &rows / rows.square().sum_dim_intlist(1, true, Kind::Float).sqrt();
        let difference = unit.matmul(&unit.transpose(0, 1)) - Tensor::eye(size, FLOAT);
        assert!(difference.abs().max().double_value(&[]) < 1e-5);
    }
}
