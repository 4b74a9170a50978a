//! Where training starts.
//!
//! A transformer needs very many images to find out that neighbouring patches belong together. The
//! tower is therefore started as a convolutional network (Cordonnier et al., "On the relationship
//! between self-attention and convolutional layers", ICLR 2020): sinusoidal positions let each head
//! look at a fixed neighbour, and the patch embedding is a scaled cosine transform of the patch.
//! Everything stays free to be learnt otherwise.

use medfocus_torch::tch::{Device, Kind, Tensor};

use crate::lvlm::architecture::{
    NEIGHBOURS, PATCH_SIDE, PATCHES_PER_SIDE, TOWER_HEADS, TOWER_WIDTH,
};
use crate::patches::{self, POSITION_CHANNELS};

const FLOAT: (Kind, Device) = (Kind::Float, Device::Cpu);
/// How far each layer's heads look at first, patches.
const REACH: [f64; 3] = [1.0, 1.0, 2.0];
/// Gain of queries and keys: a patch one off gets a few percent of a neighbour's weight.
const SHARPNESS: f64 = 1.8;

/// A parameter by its name in the checkpoint. `pixels` are images to scale the patch embedding by.
pub fn initial(name: &str, shape: &[i64], pixels: &Tensor) -> Tensor {
    let normal = |deviation: f64| Tensor::randn(shape, FLOAT) * deviation;
    // Linear weights are [outputs, inputs]; this keeps the scale of what passes through.
    let keep = shape
        .last()
        .map_or(1.0, |&inputs| (inputs as f64).powf(-0.5));
    let ends = |end: &str| name.ends_with(end);
    if ends("patch_embedding.weight") {
        patches::embedding(pixels, PATCH_SIDE, PATCH_SIDE, TOWER_WIDTH)
    } else if ends("position_embedding.weight") {
        patches::positions(PATCHES_PER_SIDE, TOWER_WIDTH)
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

/// The projection `[heads * width, width]` that copies the position of the patch itself (keys), or of
/// the neighbour at this reach (queries): turning each wave by its phase moves the position.
fn looking_at(reach: Option<f64>) -> Tensor {
    let width = TOWER_WIDTH / TOWER_HEADS;
    let mut weight = vec![0f32; TOWER_WIDTH * TOWER_WIDTH];
    for (head, (down, right)) in NEIGHBOURS.into_iter().enumerate() {
        for channel in 0..POSITION_CHANNELS.min(width) {
            let (axis, wave, sine) = patches::position(channel, PATCHES_PER_SIDE);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_head_looks_at_its_neighbour() {
        let reach = 1;
        let table = patches::positions(PATCHES_PER_SIDE, TOWER_WIDTH);
        let side = PATCHES_PER_SIDE as i64;
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
}
