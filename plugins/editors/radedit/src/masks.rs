//! Between an image of any size and the square that is edited.

use medfocus_imaging::resample::{Filter, resize};
use medfocus_imaging::working::letterbox;
use medfocus_plugin_api::{Letterbox, Result};
use ndarray::{Array2, ArrayView2, Zip, s};

medfocus_plugin_api::choices! {
    /// Which cells of the latent grid belong to the edited region.
    pub enum LatentMask {
        /// Those whose first pixel does.
        Nearest = "nearest",
        /// Those with any pixel that does.
        Cover = "cover",
    }
}

/// An image, letterboxed in a square; as it is if it has that size.
pub fn square(image: ArrayView2<'_, u8>, side: u32) -> Array2<u8> {
    letterbox(image, side)
}

/// The cells of the latent grid, `factor` x `factor` pixels of the square each, that a region of the image covers.
///
/// The region is scaled as the image is, and what is at least half inside counts. The padding around the image does not
/// belong to it.
pub fn latent_region(
    region: ArrayView2<'_, bool>,
    side: u32,
    factor: usize,
    rule: LatentMask,
) -> Array2<bool> {
    let white = region.mapv(|inside| if inside { u8::MAX } else { 0 });
    let pixels = letterbox(white.view(), side).mapv(|pixel| pixel >= 128);
    let cells = side as usize / factor;
    Array2::from_shape_fn((cells, cells), |(row, column)| {
        let (y, x) = (row * factor, column * factor);
        match rule {
            LatentMask::Nearest => pixels[(y, x)],
            LatentMask::Cover => pixels
                .slice(s![y..y + factor, x..x + factor])
                .iter()
                .any(|&inside| inside),
        }
    })
}

/// The edited square in the image's size, without the padding.
pub fn unsquare(square: ArrayView2<'_, u8>, (height, width): (usize, usize)) -> Result<Array2<u8>> {
    let letterbox = Letterbox::new(width as u32, height as u32, square.nrows() as u32)?;
    let [x1, y1, x2, y2] = letterbox.content().corners().map(|edge| edge as usize);
    let content = square.slice(s![y1..y2, x1..x2]);
    Ok(resize(content, height, width, Filter::Bicubic))
}

/// The edited image within a region, the original beyond a border around it, and a mixture in the border.
///
/// The share of the edit falls evenly with the distance from the region, the larger of those along the two axes, and is 0
/// beyond so many pixels.
pub fn paste_back(
    original: ArrayView2<'_, u8>,
    edited: ArrayView2<'_, u8>,
    region: ArrayView2<'_, bool>,
    border: u32,
) -> Array2<u8> {
    let distances = distances(region);
    let mix = |&old: &u8, &new: &u8, &distance: &u32| {
        let share = (1.0 - f64::from(distance) / (f64::from(border) + 1.0)).max(0.0);
        let (old, new) = (f64::from(old), f64::from(new));
        (old + share * (new - old)).round() as u8
    };
    Zip::from(original)
        .and(edited)
        .and(&distances)
        .map_collect(mix)
}

/// How far each pixel is from the region: the larger of the distances along the two axes, exact after one pass down and
/// one up (Rosenfeld and Pfaltz 1968). `u32::MAX` if the region is empty.
fn distances(region: ArrayView2<'_, bool>) -> Array2<u32> {
    let mut distances = region.mapv(|inside| if inside { 0 } else { u32::MAX });
    let (rows, columns) = distances.dim();
    let mut relax = |y: usize, x: usize, neighbours: [(isize, isize); 4]| {
        let near = neighbours.into_iter().filter_map(|(dy, dx)| {
            let at = (y.checked_add_signed(dy)?, x.checked_add_signed(dx)?);
            distances.get(at).copied()
        });
        let least = near.min().unwrap_or(u32::MAX).saturating_add(1);
        distances[(y, x)] = distances[(y, x)].min(least);
    };
    for y in 0..rows {
        for x in 0..columns {
            relax(y, x, [(-1, -1), (-1, 0), (-1, 1), (0, -1)]);
        }
    }
    for y in (0..rows).rev() {
        for x in (0..columns).rev() {
            relax(y, x, [(1, 1), (1, 0), (1, -1), (0, 1)]);
        }
    }
    distances
}
