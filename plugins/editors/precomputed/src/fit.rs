//! An edited image at the size of the image that was edited.

use medfocus_imaging::{
    resample::{Filter, resize},
    working,
};
use medfocus_plugin_api::{Letterbox, Result};
use ndarray::{Array2, ArrayView2, s};

/// `edited` at the size of `image`; nothing if the one cannot show what the other does.
///
/// - A square of an image that is none: cut out where [`Letterbox`] puts the image, then resampled (Pillow's bicubic). One of
///   an image that is nearly square must be black beside it.
/// - The same shape, within a pixel: resampled.
/// - An image for a square: letterboxed, if the square is black where the letterbox is.
///
/// # Errors
///
/// None for images that have pixels.
pub fn fit(edited: ArrayView2<'_, u8>, image: ArrayView2<'_, u8>) -> Result<Option<Array2<u8>>> {
    let (height, width) = image.dim();
    if edited.dim() == image.dim() {
        return Ok(Some(edited.to_owned()));
    }
    let resized = |part: ArrayView2<'_, u8>| Some(resize(part, height, width, Filter::Bicubic));
    let sizes = |of: (usize, usize)| (of.1 as u32, of.0 as u32);
    let same = same_shape(edited.dim(), image.dim());
    if edited.nrows() == edited.ncols() && height != width {
        let (width, height) = sizes(image.dim());
        let place = content(width, height, edited.nrows() as u32)?;
        if !same || is_black_beside(edited, place) {
            let [x1, y1, x2, y2] = place;
            return Ok(resized(edited.slice(s![y1..y2, x1..x2])));
        }
    }
    if same {
        return Ok(resized(edited));
    }
    if height == width {
        let (edited_width, edited_height) = sizes(edited.dim());
        let place = content(edited_width, edited_height, height as u32)?;
        let black = is_black_beside(image, place);
        return Ok(black.then(|| working::letterbox(edited, height as u32)));
    }
    Ok(None)
}

/// Where an image lies in the square of this side: left, top, right, bottom.
fn content(width: u32, height: u32, side: u32) -> Result<[usize; 4]> {
    let content = Letterbox::new(width, height, side)?.content();
    Ok(content.corners().map(|corner| corner as usize))
}

/// Whether nothing but this box holds anything.
fn is_black_beside(image: ArrayView2<'_, u8>, [x1, y1, x2, y2]: [usize; 4]) -> bool {
    image
        .indexed_iter()
        .all(|((y, x), &pixel)| pixel == 0 || ((y1..y2).contains(&y) && (x1..x2).contains(&x)))
}

/// Whether one size is the other scaled, and rounded to whole pixels.
fn same_shape(one: (usize, usize), other: (usize, usize)) -> bool {
    let (small, large) = if one.0 < other.0 {
        (one, other)
    } else {
        (other, one)
    };
    let scaled = large.1 as f64 * small.0 as f64 / large.0 as f64;
    (scaled - small.1 as f64).abs() <= 1.0
}
