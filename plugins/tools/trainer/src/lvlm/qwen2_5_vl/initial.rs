//! Where training starts: as a convolutional network, like the other small network's.
//!
//! Positions enter this tower as rotations, so a head looks at a fixed neighbour if the constant parts of its queries and keys
//! say so: with keys `a` and queries `a` turned by the way to the neighbour, their product over a distance is
//! `a² cos(distance - way)` in each frequency, at its largest for that neighbour (Su et al. 2021, equation 16).

use medfocus_torch::tch::{Device, Kind, Tensor};

use crate::lvlm::architecture::{NEIGHBOURS, PATCH_SIDE, TOWER_HEADS, TOWER_WIDTH};
use crate::patches;

const FLOAT: (Kind, Device) = (Kind::Float, Device::Cpu);
/// How far each block's heads look at first, patches.
const REACH: [f64; 4] = [1.0, 1.0, 2.0, 2.0];
/// Radians per patch of the two highest frequencies of an axis, and the size of queries and keys in them. The first singles out
/// one patch; it comes round after six, which the second forbids.
const WAVES: [(f64, f64); 2] = [(1.0, 5.0), (0.1, 8.0)];
/// How the scales of norms are named.
const NORMS: [&str; 5] = [
    "norm1.weight",
    "norm2.weight",
    "ln_q.weight",
    "layernorm.weight",
    "model.norm.weight",
];
/// Width of a head, and frequencies of an axis.
const HEAD: usize = TOWER_WIDTH / TOWER_HEADS;
const FREQUENCIES: usize = HEAD / 4;

/// A parameter by its name in the checkpoint. `pixels` are images to scale the patch embedding by.
pub fn initial(name: &str, shape: &[i64], pixels: &Tensor) -> Tensor {
    let normal = |deviation: f64| Tensor::randn(shape, FLOAT) * deviation;
    // Linear weights are [outputs, inputs]; this keeps the scale of what passes through.
    let keep = shape
        .last()
        .map_or(1.0, |&inputs| (inputs as f64).powf(-0.5));
    let ends = |end: &str| name.ends_with(end);
    if ends("patch_embed.proj.weight") {
        // Both frames are the image; each gives half.
        let image = patches::embedding(pixels, PATCH_SIDE, PATCH_SIDE, TOWER_WIDTH) / 2.0;
        image.unsqueeze(2).repeat([1, 1, 2, 1, 1])
    } else if NORMS.into_iter().any(ends) {
        Tensor::ones(shape, FLOAT)
    } else if ends("attn.qkv.bias") {
        looking(REACH[block(name).min(REACH.len() - 1)])
    } else if ends("attn.qkv.weight") {
        let width = TOWER_WIDTH as i64;
        let content = |gain: f64| Tensor::randn([width, width], FLOAT) * (gain * keep);
        Tensor::cat(&[content(0.3), content(0.3), content(1.0)], 0)
    } else if ends("bias") {
        Tensor::zeros(shape, FLOAT)
    } else if ends("attn.proj.weight") || name.starts_with("visual.") && ends("down_proj.weight") {
        normal(0.5 * keep)
    } else {
        normal(keep)
    }
}

/// The block of a parameter of the tower.
fn block(name: &str) -> usize {
    let rest = name.strip_prefix("visual.blocks.").unwrap_or_default();
    rest.split('.')
        .next()
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

/// The biases of queries, keys and values, `[3 * width]`, for heads that look at the neighbours at this reach.
fn looking(reach: f64) -> Tensor {
    let mut bias = vec![0f32; 3 * TOWER_WIDTH];
    let (queries, rest) = bias.split_at_mut(TOWER_WIDTH);
    for (head, (down, right)) in NEIGHBOURS.into_iter().enumerate() {
        let query = &mut queries[head * HEAD..][..HEAD];
        let key = &mut rest[head * HEAD..][..HEAD];
        for (axis, way) in [down, right].into_iter().enumerate() {
            for (wave, (frequency, size)) in WAVES.into_iter().enumerate() {
                let channel = axis * FREQUENCIES + wave;
                let phase = frequency * reach * way;
                key[channel] = size as f32;
                query[channel] = (size * phase.cos()) as f32;
                query[channel + HEAD / 2] = (size * phase.sin()) as f32;
            }
        }
    }
    Tensor::from_slice(&bias)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lvlm::architecture::PATCHES_PER_SIDE;
    use medfocus_torch::nn::{Rotary, frequencies, split_heads};

    #[test]
    fn each_head_looks_at_its_neighbour() {
        let side = PATCHES_PER_SIDE as i64;
        let inverse = frequencies(1e4, HEAD as i64 / 2, Device::Cpu).unwrap();
        let along = Tensor::arange(side, FLOAT).unsqueeze(1) * &inverse;
        let grid = [side, side, FREQUENCIES as i64];
        let angles = Tensor::cat(
            &[
                along.unsqueeze(1).expand(grid, false),
                along.unsqueeze(0).expand(grid, false),
            ],
            -1,
        );
        let rotary = Rotary::new(&angles.reshape([side * side, -1]), Kind::Float).unwrap();
        let parts = looking(1.0)
            .reshape([3, 1, TOWER_WIDTH as i64])
            .expand([3, side * side, TOWER_WIDTH as i64], false);
        let heads = |part: i64| {
            let one = parts.get(part).unsqueeze(0);
            rotary
                .rotate(&split_heads(&one, TOWER_HEADS as i64).unwrap())
                .unwrap()
        };
        let scores = heads(0).matmul(&heads(1).transpose(2, 3)) / (HEAD as f64).sqrt();
        let map = scores.softmax(-1, Kind::Float).get(0);
        for (head, (down, right)) in NEIGHBOURS.into_iter().enumerate() {
            for (row, column) in
                (1..side - 1).flat_map(|row| (1..side - 1).map(move |column| (row, column)))
            {
                let wanted = (row + down as i64) * side + column + right as i64;
                let looks = map.get(head as i64).get(row * side + column);
                assert_eq!(looks.argmax(0, false).int64_value(&[]), wanted);
                assert!(looks.double_value(&[wanted]) > 0.3);
            }
        }
    }
}
