//! Where training starts.
//!
//! As a convolutional network, since a transformer needs very many images to find out that neighbouring patches belong
//! together: in a window, relative positions that are quadratic in the distance give each head a bell around the
//! neighbour it looks at (Cordonnier et al., "On the relationship between self-attention and convolutional layers",
//! ICLR 2020). Everything stays free to be learnt otherwise.

use std::collections::BTreeMap;

use anyhow::Result;
use medfocus_torch::tch::{Device, Kind, Tensor};
use medfocus_vision_medsam::Sam;
use medfocus_vision_medsam::config::Config;

use super::architecture::{HEADS, PATCH_SIDE, PATCHES_PER_SIDE, WIDTH};
use crate::patches;

const FLOAT: (Kind, Device) = (Kind::Float, Device::Cpu);
/// Waves of a patch along each axis that are seen at first.
const WAVES: usize = 8;
/// Height and width of a head's bell: scores fall by this times the squared distance, in patches.
const SHARPNESS: f64 = 0.4;
/// The neighbours, one for each head.
const NEIGHBOURS: [[f64; 2]; HEADS] = [[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]];

/// Fresh parameters for this configuration, by their names in the checkpoint. `pixels` are images to scale the patch
/// embedding by.
pub fn parameters(config: &Config, pixels: &Tensor) -> Result<BTreeMap<String, Tensor>> {
    let shapes = Sam::parameters(config)?;
    let mut values: BTreeMap<String, Tensor> = shapes
        .into_iter()
        .map(|(name, shape)| {
            let values = initial(config, &name, &shape, pixels).copy();
            (name, values)
        })
        .collect();
    // Queries and keys alike: corners of boxes and places of the image attend to what is near them, by their codes.
    let keys: Vec<String> = values
        .keys()
        .filter(|name| name.starts_with("mask_decoder") && name.ends_with("k_proj.weight"))
        .cloned()
        .collect();
    for key in keys {
        let query = values[&key.replace("k_proj", "q_proj")].copy();
        values.insert(key, query);
    }
    Ok(values
        .into_iter()
        .map(|(name, values)| (name, values.set_requires_grad(true)))
        .collect())
}

fn initial(config: &Config, name: &str, shape: &[i64], pixels: &Tensor) -> Tensor {
    let normal = |deviation: f64| Tensor::randn(shape, FLOAT) * deviation;
    let ends = |end: &str| name.ends_with(end);
    // Of what passes through a linear map or a convolution; transposed convolutions list their inputs first.
    let inputs: i64 = match shape {
        [inputs, _, 2, 2] if name.contains("upscale") => *inputs,
        shape => shape.iter().skip(1).product(),
    };
    let keep = (inputs.max(1) as f64).powf(-0.5);
    if ends("patch_embed.projection.weight") {
        patches::embedding(pixels, PATCH_SIDE, WAVES, WIDTH)
    } else if ends("pos_embed") {
        patches::positions(PATCHES_PER_SIDE, WIDTH).reshape(shape)
    } else if let Some((layer, leaf)) = encoder_attention(name) {
        let windowed = config.vision.window(layer).is_some();
        match leaf {
            "rel_pos_h" if windowed => bells(0, shape),
            "rel_pos_w" if windowed => bells(1, shape),
            "qkv.bias" if windowed => looking_at_neighbours(),
            "qkv.weight" => normal(keep),
            "proj.weight" => normal(0.5 * keep),
            _ => Tensor::zeros(shape, FLOAT),
        }
    } else if name.contains("norm") {
        if ends("weight") {
            Tensor::ones(shape, FLOAT)
        } else {
            Tensor::zeros(shape, FLOAT)
        }
    } else if ends("bias") {
        Tensor::zeros(shape, FLOAT)
    } else if ends("positional_embedding") {
        frequencies(shape)
    } else if name.contains("point_embed") {
        normal(0.5)
    } else if ["iou_token", "mask_tokens", "no_mask_embed"]
        .iter()
        .any(|part| name.contains(part))
    {
        normal(1.0)
    } else if ends("lin2.weight") || ends("out_proj.weight") {
        normal(0.5 * keep)
    } else if name.contains("hypernetworks") && ends("proj_out.weight") {
        // Masks begin undecided.
        normal(0.2 * keep)
    } else {
        normal(keep)
    }
}

/// Layer and leaf of a parameter of the encoder's attention.
fn encoder_attention(name: &str) -> Option<(i64, &str)> {
    let rest = name.strip_prefix("vision_encoder.layers.")?;
    let (layer, leaf) = rest.split_once(".attn.")?;
    Some((layer.parse().ok()?, leaf))
}

/// Vectors of the distances along an axis, `[distances, head width]`: the distance and its square, negative, in two
/// channels of the axis.
fn bells(axis: i64, shape: &[i64]) -> Tensor {
    let distances = Tensor::arange(shape[0], FLOAT) - (shape[0] / 2) as f64;
    let vectors = Tensor::zeros(shape, FLOAT);
    let columns = [
        &distances * (2.0 * SHARPNESS),
        distances.square() * -SHARPNESS,
    ];
    for (channel, column) in (2 * axis..).zip(columns) {
        vectors.select(1, channel).copy_(&column);
    }
    vectors
}

/// The bias of queries, keys and values `[3 width]` that with [`bells`] makes each head look at its neighbour.
///
/// Distances are the query's place minus the key's, so a key at `n` from the query is at distance -n:
/// `-(d + n)^2 = -d^2 - 2 d n` and a constant.
fn looking_at_neighbours() -> Tensor {
    let mut bias = vec![0f32; 3 * WIDTH];
    for (head, neighbour) in bias.chunks_exact_mut(WIDTH / HEADS).zip(NEIGHBOURS) {
        for (channels, n) in head.chunks_exact_mut(2).zip(neighbour) {
            channels.copy_from_slice(&[-n as f32, 1.0]);
        }
    }
    Tensor::from_slice(&bias)
}

/// Turns per half side of the waves by which places are coded, `[2, waves]`; they are not learnt. Long waves tell where a
/// box is at first sight, short ones where exactly.
fn frequencies(shape: &[i64]) -> Tensor {
    let scale = Tensor::rand([1, shape[1]], FLOAT) * -(10f64.ln());
    Tensor::randn(shape, FLOAT) * scale.exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_head_looks_at_its_neighbour() {
        let table = |axis| bells(axis, &[13, (WIDTH / HEADS) as i64]);
        let (rows, columns) = (table(0), table(1));
        let queries = looking_at_neighbours().narrow(0, 0, WIDTH as i64);
        let queries = queries.reshape([HEADS as i64, -1]);
        for (head, neighbour) in (0..).zip(NEIGHBOURS) {
            let query = queries.select(0, head);
            let favourite = [&rows, &columns].map(|table| {
                let distance = table.mv(&query).argmax(0, false).int64_value(&[]) - 6;
                -distance as f64
            });
            assert_eq!(favourite, neighbour);
        }
    }
}
