//! The working image: a square in which the whole native image lies scaled and centred.

use ndarray::{Array2, ArrayView2, s};

use crate::resample::{Filter, resize};

/// Where an image of `height` x `width` pixels lies in a square of `side` pixels, as
/// `(scaled height, scaled width, top, left)`.
///
/// The longer side fills the square; the shorter is rounded half to even (in f64, like the
/// published pipeline) and is at least 1 pixel; an odd remainder puts the extra row or column of
/// padding below or on the right. All four are zero if any size is.
pub fn letterbox_geometry(
    height: usize,
    width: usize,
    side: usize,
) -> (usize, usize, usize, usize) {
    if height == 0 || width == 0 || side == 0 {
        return (0, 0, 0, 0);
    }
    let scale = side as f64 / height.max(width) as f64;
    let fit = |size: usize| ((size as f64 * scale).round_ties_even() as usize).clamp(1, side);
    let (scaled_height, scaled_width) = (fit(height), fit(width));
    let (top, left) = ((side - scaled_height) / 2, (side - scaled_width) / 2);
    (scaled_height, scaled_width, top, left)
}

/// `src` scaled to fit a `side` x `side` square with Pillow's bicubic filter and centred on zeros.
pub fn letterbox(src: ArrayView2<'_, u8>, side: usize) -> Array2<u8> {
    let (height, width, top, left) = letterbox_geometry(src.nrows(), src.ncols(), side);
    let mut square = Array2::zeros((side, side));
    square
        .slice_mut(s![top..top + height, left..left + width])
        .assign(&resize(src, height, width, Filter::Bicubic));
    square
}
