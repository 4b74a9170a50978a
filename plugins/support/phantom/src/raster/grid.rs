//! The map between pixels and film coordinates.

use crate::pixel_box::Mask;

/// A pixel grid over the film: square pixels, the shorter side spans `[-1, 1]`.
#[derive(Clone, Debug)]
pub(crate) struct Grid {
    pub height: usize,
    pub width: usize,
    /// Side of a pixel in film units.
    pub pixel: f32,
    /// Film x of every column's centre.
    pub xs: Vec<f32>,
    /// Film y of every row's centre.
    pub ys: Vec<f32>,
}

impl Grid {
    pub fn new(height: usize, width: usize) -> Grid {
        let pixel = 2.0 / height.min(width).max(1) as f32;
        let centres = |n: usize| {
            (0..n)
                .map(|i| (i as f32 + 0.5 - 0.5 * n as f32) * pixel)
                .collect()
        };
        Grid {
            height,
            width,
            pixel,
            xs: centres(width),
            ys: centres(height),
        }
    }

    /// Columns whose centres lie in `[low, high]`.
    pub fn columns(&self, low: f32, high: f32) -> std::ops::Range<usize> {
        span(low, high, self.width, self.pixel)
    }

    /// Rows whose centres lie in `[low, high]`.
    pub fn rows(&self, low: f32, high: f32) -> std::ops::Range<usize> {
        span(low, high, self.height, self.pixel)
    }

    /// Row and column of a row-major index.
    pub fn place(&self, index: usize) -> [usize; 2] {
        [index / self.width, index % self.width]
    }

    /// A mask without any pixel.
    pub fn empty_mask(&self) -> Mask {
        Mask::from_elem((self.height, self.width), false)
    }
}

fn span(low: f32, high: f32, n: usize, pixel: f32) -> std::ops::Range<usize> {
    // Casts truncate towards zero and saturate, which spares the calls to `floor` and `ceil`.
    let shift = 0.5 * n as f32 - 0.5;
    let (low, high) = (low / pixel + shift, high / pixel + shift);
    let first = low as usize + usize::from(low > (low as usize) as f32);
    let last = if high < 0.0 {
        0
    } else {
        (high as usize + 1).min(n)
    };
    first.min(last)..last
}

#[cfg(test)]
mod tests {
    use super::Grid;

    #[test]
    fn ranges_hold_exactly_the_centres_inside() {
        let grid = Grid::new(37, 53);
        for i in -60..60 {
            for j in -60..60 {
                let (low, high) = (i as f32 * 0.0371, j as f32 * 0.0417);
                let inside =
                    |centres: &[f32]| centres.iter().filter(|&&c| low <= c && c <= high).count();
                assert_eq!(
                    grid.columns(low, high).len(),
                    inside(&grid.xs),
                    "{low}..{high}"
                );
                assert_eq!(
                    grid.rows(low, high).len(),
                    inside(&grid.ys),
                    "{low}..{high}"
                );
            }
        }
    }

    #[test]
    fn the_shorter_side_spans_two_units() {
        let grid = Grid::new(100, 160);
        assert!((grid.ys[0] + 0.99).abs() < 1e-6 && (grid.ys[99] - 0.99).abs() < 1e-6);
        assert!((grid.xs[159] - 1.59).abs() < 1e-6);
    }
}
