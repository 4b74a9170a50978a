//! The working image: a square in which the whole native image lies scaled and centred.

use medfocus_plugin_api::Letterbox;
use ndarray::{Array2, ArrayView2, s};

use crate::resample::{Filter, resize};

/// `src` in a `side` x `side` square where [`Letterbox`] puts it, scaled with Pillow's bicubic filter and surrounded by zeros. An
/// image without pixels leaves zeros alone.
pub fn letterbox(src: ArrayView2<'_, u8>, side: u32) -> Array2<u8> {
    let mut square = Array2::zeros((side as usize, side as usize));
    let sides = [src.ncols(), src.nrows()].map(|pixels| u32::try_from(pixels).unwrap_or(u32::MAX));
    if let Ok(place) = Letterbox::new(sides[0], sides[1], side) {
        let [x1, y1, x2, y2] = place.content().corners().map(|edge| edge as usize);
        square.slice_mut(s![y1..y2, x1..x2]).assign(&resize(
            src,
            y2 - y1,
            x2 - x1,
            Filter::Bicubic,
        ));
    }
    square
}
