//! How patches enter a network at first: what is in them by their cosine transform, where they are by sinusoids.

use std::f64::consts::PI;

use medfocus_torch::tch::{Device, Kind, Tensor};

const FLOAT: (Kind, Device) = (Kind::Float, Device::Cpu);
/// Wave numbers of the positions, per axis.
const WAVES: usize = 4;
/// Channels that hold the position, the last: sine and cosine of each wave, on two axes.
pub const POSITION_CHANNELS: usize = 4 * WAVES;
/// Radians of the longest wave over the image: less than a turn, so that positions are unique.
const LONGEST: f64 = 5.6;

/// Sine and cosine of each wave in the last channels, and nothing in the others, for `side` x `side` patches:
/// `[patches, width]`.
pub fn positions(side: usize, width: usize) -> Tensor {
    let mut table = vec![0f32; side * side * width];
    for (patch, row) in table.chunks_exact_mut(width).enumerate() {
        let place = [(patch / side) as f64, (patch % side) as f64];
        for (channel, value) in row[width - POSITION_CHANNELS..].iter_mut().enumerate() {
            let (axis, wave, sine) = position(channel, side);
            let angle = wave * place[axis];
            *value = (2f64.sqrt() * if sine { angle.sin() } else { angle.cos() }) as f32;
        }
    }
    Tensor::from_slice(&table).reshape([(side * side) as i64, width as i64])
}

/// Axis, radians per patch, and whether sine, of a position channel.
pub fn position(channel: usize, side: usize) -> (usize, f64, bool) {
    let wave = LONGEST / side as f64 * (channel / 2 % WAVES + 1) as f64;
    (channel / (2 * WAVES), wave, channel % 2 == 1)
}

/// The cosine transform of a patch up to so many waves per axis, each coefficient scaled to about one on these images
/// `[images, 3, height, width]`, then random mixtures of the coefficients; nothing in the channels of the position.
/// `[width, 3, side, side]`.
pub fn embedding(pixels: &Tensor, side: usize, waves: usize, width: usize) -> Tensor {
    let (side, waves, width) = (side as i64, waves as i64, width as i64);
    let (size, coefficients) = (side * side, waves * waves);
    let axis = Tensor::arange(side, FLOAT);
    let angles =
        (&axis + 0.5).unsqueeze(0) * axis.narrow(0, 0, waves).unsqueeze(1) * (PI / side as f64);
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
    let mixtures = width - POSITION_CHANNELS as i64 - coefficients;
    let mixed = (Tensor::randn([mixtures, coefficients], FLOAT) / waves as f64).matmul(&scaled);
    let blank = Tensor::zeros([POSITION_CHANNELS as i64, size], FLOAT);
    let grey = Tensor::cat(&[scaled, mixed, blank], 0).reshape([width, 1, side, side]);
    grey.expand([width, 3, side, side], false) / 3.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_patch_embedding_sees_every_pixel_once() {
        medfocus_torch::tch::manual_seed(0);
        let pixels = Tensor::randn([4, 3, 112, 112], FLOAT);
        let rows = embedding(&pixels, 8, 8, 128)
            .narrow(1, 0, 1)
            .reshape([-1, 64])
            .narrow(0, 0, 64);
        let unit = &rows / rows.square().sum_dim_intlist(1, true, Kind::Float).sqrt();
        let difference = unit.matmul(&unit.transpose(0, 1)) - Tensor::eye(64, FLOAT);
        assert!(difference.abs().max().double_value(&[]) < 1e-5);
    }
}
