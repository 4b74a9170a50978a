//! The evidence as a region: filled so that the anatomy shows through, with a contour.

use image::{Rgb, RgbImage};
use medfocus_plugin_api::{Letterbox, Mask};
use ndarray::{Array2, s};

use super::{onto, paint};

/// How strongly the region is tinted.
const TINT: f32 = 0.25;

/// Draws a mask of the working frame. Pixels more than one away from it stay as they are; one of another size is none.
pub fn draw(
    picture: &mut RgbImage,
    mask: &Mask,
    letterbox: &Letterbox,
    colour: Rgb<u8>,
    line: i64,
) {
    let size = picture.dimensions();
    strokes(
        size,
        mask,
        letterbox,
        colour,
        line,
        |(x, y), over, share| {
            paint::blend(picture, i64::from(x), i64::from(y), over, share);
        },
    );
}

/// Each pixel (x, y) that the region has in a picture of this size, with its colour and how strongly that covers the picture.
pub fn strokes(
    size: (u32, u32),
    mask: &Mask,
    letterbox: &Letterbox,
    colour: Rgb<u8>,
    line: i64,
    mut stroke: impl FnMut((u32, u32), Rgb<u8>, f32),
) {
    let inside = mask.view().mapv(|pixel| f32::from(u8::from(pixel != 0)));
    let Some(shares) = onto(size, smooth(&inside).view(), letterbox) else {
        return;
    };
    let inside = shares.mapv(|share| share >= 0.5);
    for (at, &within) in inside.indexed_iter() {
        let (colour, share) = if !within {
            if !near(&inside, at, 1, true) {
                continue;
            }
            (paint::DARK, 0.7)
        } else if near(&inside, at, line, false) {
            (colour, 1.0)
        } else if near(&inside, at, line + 1, false) {
            (paint::DARK, 0.7)
        } else {
            (colour, TINT)
        };
        stroke((at.1 as u32, at.0 as u32), colour, share);
    }
}

/// Steps of single pixels rounded off: the mean over 3 x 3 pixels, which leaves straight edges where they are. What it would
/// wipe out, a line or a point, stays as it is, so that the smallest region is seen.
fn smooth(values: &Array2<f32>) -> Array2<f32> {
    const LINE: f32 = 3.0;
    Array2::from_shape_fn(values.dim(), |(y, x)| {
        let window = values.slice(s![
            y.saturating_sub(1)..(y + 2).min(values.nrows()),
            x.saturating_sub(1)..(x + 2).min(values.ncols()),
        ]);
        match window.sum() {
            sum if sum <= LINE && values[(y, x)] > 0.0 => 1.0,
            sum => sum / window.len() as f32,
        }
    })
}

/// Whether any of eight pixels around one is inside, or outside; all beyond the picture are outside.
fn near(inside: &Array2<bool>, (y, x): (usize, usize), reach: i64, wanted: bool) -> bool {
    let slant = (reach * 7 / 10).max(1);
    [
        (-reach, 0),
        (reach, 0),
        (0, -reach),
        (0, reach),
        (-slant, -slant),
        (-slant, slant),
        (slant, -slant),
        (slant, slant),
    ]
    .into_iter()
    .any(|(dy, dx)| {
        let y = usize::try_from(y as i64 + dy).ok();
        let x = usize::try_from(x as i64 + dx).ok();
        let there = y.zip(x).and_then(|at| inside.get(at));
        there.copied().unwrap_or(false) == wanted
    })
}
