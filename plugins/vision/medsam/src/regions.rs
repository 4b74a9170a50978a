//! Logits to a region of the image, as the published code does it.

use medfocus_torch::tch::{Device, Kind, Tensor};
use ndarray::Array2;

use crate::Result;

/// A pixel belongs to the region above this probability.
const THRESHOLD: f64 = 0.5;

/// How the image lies in the network's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Side of the network's input.
    pub side: i64,
    /// Height and width of the scaled image in it, at the top left.
    pub scaled: (i64, i64),
    /// Height and width of the image.
    pub image: (i64, i64),
}

/// The probability of every pixel `[height, width]`, f32, from one mask's logits `[rows, columns]`.
///
/// The sigmoid comes first: probabilities are interpolated, not logits. Bilinear to the network's input, without
/// its padding, then bilinear to the image.
pub fn probabilities(logits: &Tensor, layout: Layout) -> Result<Tensor> {
    let (rows, columns) = layout.scaled;
    let input = logits
        .f_to_kind(Kind::Float)?
        .f_sigmoid()?
        .f_unsqueeze(0)?
        .f_unsqueeze(0)?
        .f_upsample_bilinear2d([layout.side, layout.side], false, None, None)?
        .f_narrow(2, 0, rows)?
        .f_narrow(3, 0, columns)?;
    let (height, width) = layout.image;
    Ok(input
        .f_upsample_bilinear2d([height, width], false, None, None)?
        .f_reshape([height, width])?)
}

/// The pixels `[height, width]` that are more probable than not, possibly none.
pub fn region(probabilities: &Tensor) -> Result<Array2<bool>> {
    let (height, width) = probabilities.size2()?;
    let (height, width) = (height as usize, width as usize);
    let inside = probabilities
        .f_gt(THRESHOLD)?
        .f_to_device(Device::Cpu)?
        .f_contiguous()?;
    let mut pixels = vec![false; height * width];
    inside.f_copy_data(&mut pixels, height * width)?;
    Ok(Array2::from_shape_fn((height, width), |(y, x)| {
        pixels[y * width + x]
    }))
}
