//! From the edited pixels to the latents' grid and back to the film.

use medfocus_plugin_api::Letterbox;
use ndarray::{Array2, ArrayView2, Zip};

/// How a region becomes cells of latents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cells {
    /// A cell is edited if any of its pixels is: no region is too small.
    Any,
    /// A cell is edited if its first pixel is, as nearest-neighbour sampling has it.
    Nearest,
}

/// The region on the grid of latents, each cell of which has so many `rows` and `columns` of pixels; 1 inside, 0 outside.
pub fn cells(
    region: ArrayView2<'_, bool>,
    (rows, columns): (usize, usize),
    how: Cells,
) -> Array2<f32> {
    let (height, width) = region.dim();
    Array2::from_shape_fn((height / rows, width / columns), |(row, column)| {
        let (top, left) = (row * rows, column * columns);
        let inside = match how {
            Cells::Nearest => region[(top, left)],
            Cells::Any => (top..top + rows).any(|y| (left..left + columns).any(|x| region[(y, x)])),
        };
        f32::from(u8::from(inside))
    })
}

/// The region in the square that an image is letterboxed to: each pixel as the native one at its centre, the padding
/// `outside`.
pub fn letterboxed(
    region: ArrayView2<'_, bool>,
    place: &Letterbox,
    side: u32,
    outside: bool,
) -> Array2<bool> {
    let [x1, y1, x2, y2] = place.content().corners().map(|corner| corner as usize);
    let (height, width) = region.dim();
    let from = |at: usize, low: usize, high: usize, length: usize| {
        (2 * (at - low) + 1) * length / (2 * (high - low))
    };
    Array2::from_shape_fn((side as usize, side as usize), |(y, x)| {
        if (y1..y2).contains(&y) && (x1..x2).contains(&x) {
            region[(from(y, y1, y2, height), from(x, x1, x2, width))]
        } else {
            outside
        }
    })
}

/// The original with the edit in the region, which fades out over so many pixels around it; nothing changes further out.
pub fn paste(
    original: ArrayView2<'_, u8>,
    edited: ArrayView2<'_, u8>,
    region: ArrayView2<'_, bool>,
    feather: usize,
) -> Array2<u8> {
    let mut weight = region.mapv(|inside| if inside { 1.0_f32 } else { 0.0 });
    let mut reached = region.to_owned();
    for ring in 1..=feather {
        reached = grown(&reached);
        let share = 1.0 - ring as f32 / (feather + 1) as f32;
        Zip::from(&mut weight)
            .and(&reached)
            .for_each(|weight, &reached| {
                if reached && *weight == 0.0 {
                    *weight = share;
                }
            });
    }
    let mut pasted = original.to_owned();
    Zip::from(&mut pasted)
        .and(edited)
        .and(&weight)
        .for_each(|pixel, &edited, &weight| {
            let mixed = weight * f32::from(edited) + (1.0 - weight) * f32::from(*pixel);
            *pixel = mixed.round() as u8;
        });
    pasted
}

/// The region with all eight neighbours of its pixels.
fn grown(region: &Array2<bool>) -> Array2<bool> {
    let (height, width) = region.dim();
    Array2::from_shape_fn(region.dim(), |(y, x)| {
        let rows = y.saturating_sub(1)..(y + 2).min(height);
        rows.into_iter().any(|y| {
            let columns = x.saturating_sub(1)..(x + 2).min(width);
            columns.into_iter().any(|x| region[(y, x)])
        })
    })
}
