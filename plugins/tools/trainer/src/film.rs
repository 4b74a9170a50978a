//! Films of any shape on the working image.

use medfocus_phantom::Mask;
use medfocus_plugin_api::Letterbox;
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
    let [x1, y1, x2, y2] = content(mask.nrows(), mask.ncols());
    let mut placed = Array2::from_elem((WORKING_SIDE, WORKING_SIDE), false);
    placed
        .slice_mut(s![y1..y2, x1..x2])
        .indexed_iter_mut()
        .for_each(|((y, x), pixel)| {
            *pixel = mask[[y * mask.nrows() / (y2 - y1), x * mask.ncols() / (x2 - x1)]];
        });
    placed
}

/// Corners of the part of the working image that shows a film of this height and width.
pub fn content(height: usize, width: usize) -> [usize; 4] {
    let side = medfocus_plugin_api::WORKING_SIDE;
    let place = Letterbox::new(width as u32, height as u32, side).expect("films have pixels");
    place.content().corners().map(|edge| edge as usize)
}
