//! Films of any shape on the working image.

use medfocus_imaging::working::letterbox_geometry;
use medfocus_phantom::Mask;
use ndarray::{Array2, s};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Side of the working image, pixels.
pub const WORKING_SIDE: usize = medfocus_plugin_api::WORKING_SIDE as usize;

/// Height and width whose longer side fills the working image: square as often as not.
pub fn size(rng: &mut ChaCha8Rng) -> (usize, usize) {
    let short = rng.random_range(170..=WORKING_SIDE);
    match rng.random_range(0..4) {
        0 => (short, WORKING_SIDE),
        1 => (WORKING_SIDE, short),
        _ => (WORKING_SIDE, WORKING_SIDE),
    }
}

/// A mask of the film in the working image, where the letterbox puts the film.
pub fn place(mask: &Mask) -> Mask {
    let (height, width, top, left) = letterbox_geometry(mask.nrows(), mask.ncols(), WORKING_SIDE);
    let mut placed = Array2::from_elem((WORKING_SIDE, WORKING_SIDE), false);
    placed
        .slice_mut(s![top..top + height, left..left + width])
        .indexed_iter_mut()
        .for_each(|((y, x), pixel)| {
            *pixel = mask[[y * mask.nrows() / height, x * mask.ncols() / width]];
        });
    placed
}
