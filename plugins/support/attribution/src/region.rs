//! Regions of the working image as arrays of 224 x 224 truth values.

use medfocus_plugin_api::{BBox, Error, Letterbox, Mask, Result, Sample, WORKING_SIDE, Working};
use ndarray::{Array2, ArrayView2};

/// Rows and columns of the working image.
pub const WORKING_DIM: (usize, usize) = (WORKING_SIDE as usize, WORKING_SIDE as usize);

/// How a sample's image lies in the working image.
///
/// # Errors
///
/// None for an image that has pixels.
pub fn letterbox(sample: &Sample) -> Result<Letterbox> {
    Letterbox::new(sample.image.width(), sample.image.height(), WORKING_SIDE)
}

/// The working pixels whose centre lies in a mask of the native image.
///
/// # Errors
///
/// [`Error::invalid`] if the mask has not the size of the native image.
pub fn mask_to_working(mask: &Mask, letterbox: &Letterbox) -> Result<Array2<bool>> {
    let (width, height) = letterbox.native;
    if (mask.width(), mask.height()) != (width, height) {
        return Err(Error::invalid(format!(
            "a mask of {} x {} pixels does not fit an image of {width} x {height}",
            mask.width(),
            mask.height()
        )));
    }
    let native = mask.view();
    let content = letterbox.content();
    let centre = |at: usize, pad: u32, native: u32, scaled: u32| {
        // (at - pad + 1/2) native / scaled, rounded down.
        let twice = 2 * (at as u64 - u64::from(pad)) + 1;
        (twice * u64::from(native) / (2 * u64::from(scaled))) as usize
    };
    Ok(Array2::from_shape_fn(WORKING_DIM, |(y, x)| {
        content.contains(x as u32, y as u32) && {
            let row = centre(y, letterbox.top, height, letterbox.scaled.1);
            let column = centre(x, letterbox.left, width, letterbox.scaled.0);
            native[(row, column)] != 0
        }
    }))
}

/// Pixels that hang together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Row and column of each pixel; never empty.
    pub pixels: Vec<(usize, usize)>,
}

impl Part {
    /// The smallest box that holds the pixels.
    pub fn bbox(&self) -> Option<BBox<Working>> {
        let (mut x1, mut y1, mut x2, mut y2) = (u32::MAX, u32::MAX, 0, 0);
        for &(y, x) in &self.pixels {
            let (x, y) = (x as u32, y as u32);
            (x1, y1) = (x1.min(x), y1.min(y));
            (x2, y2) = (x2.max(x + 1), y2.max(y + 1));
        }
        BBox::new(x1, y1, x2, y2).ok()
    }
}

/// The 8-connected components of a region, in reading order of their first pixels.
pub fn parts(region: ArrayView2<'_, bool>) -> Vec<Part> {
    let mut left = region.to_owned();
    let mut take = |at| left.get_mut(at).is_some_and(std::mem::take);
    let mut parts = Vec::new();
    for start in ndarray::indices(region.dim()) {
        if !take(start) {
            continue;
        }
        let mut pixels = vec![start];
        let mut next = 0;
        while let Some(&(row, column)) = pixels.get(next) {
            next += 1;
            for row in row.saturating_sub(1)..=row + 1 {
                for column in column.saturating_sub(1)..=column + 1 {
                    pixels.extend(take((row, column)).then_some((row, column)));
                }
            }
        }
        parts.push(Part { pixels });
    }
    parts
}
