//! Pixel masks and their boxes.

use ndarray::Array2;
use serde::{Deserialize, Serialize};

/// A binary mask, height x width.
pub type Mask = Array2<bool>;

/// A half-open box in pixels: columns `x1..x2`, rows `y1..y2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PixelBox {
    pub x1: usize,
    pub y1: usize,
    pub x2: usize,
    pub y2: usize,
}

impl PixelBox {
    /// Number of pixels.
    pub fn area(&self) -> usize {
        (self.x2 - self.x1) * (self.y2 - self.y1)
    }
}

/// The smallest box that holds every set pixel; `None` for an empty mask.
pub fn tight_box(mask: &Mask) -> Option<PixelBox> {
    let mut found: Option<PixelBox> = None;
    for (y, row) in mask.outer_iter().enumerate() {
        let Some(first) = row.iter().position(|&set| set) else {
            continue;
        };
        let last = row.iter().rposition(|&set| set).unwrap_or(first);
        found = Some(match found {
            None => PixelBox {
                x1: first,
                y1: y,
                x2: last + 1,
                y2: y + 1,
            },
            Some(b) => PixelBox {
                x1: b.x1.min(first),
                y1: b.y1,
                x2: b.x2.max(last + 1),
                y2: y + 1,
            },
        });
    }
    found
}

/// Square dilation by `radius` pixels (Chebyshev distance).
pub fn dilate(mask: &Mask, radius: usize) -> Mask {
    let (height, width) = mask.dim();
    let mut wide = Mask::from_elem((height, width), false);
    for ((y, x), _) in mask.indexed_iter().filter(|(_, set)| **set) {
        for column in x.saturating_sub(radius)..(x + radius + 1).min(width) {
            wide[[y, column]] = true;
        }
    }
    let mut tall = Mask::from_elem((height, width), false);
    for ((y, x), _) in wide.indexed_iter().filter(|(_, set)| **set) {
        for row in y.saturating_sub(radius)..(y + radius + 1).min(height) {
            tall[[row, x]] = true;
        }
    }
    tall
}

#[cfg(test)]
mod tests {
    use super::{Mask, PixelBox, dilate, tight_box};

    #[test]
    fn boxes_are_half_open_and_absent_for_nothing() {
        let mut mask = Mask::from_elem((5, 7), false);
        assert_eq!(tight_box(&mask), None);
        mask[[1, 2]] = true;
        mask[[3, 6]] = true;
        let expected = PixelBox {
            x1: 2,
            y1: 1,
            x2: 7,
            y2: 4,
        };
        assert_eq!(tight_box(&mask), Some(expected));
        assert_eq!(expected.area(), 15);
    }

    #[test]
    fn dilation_is_a_square_clipped_at_the_border() {
        let mut mask = Mask::from_elem((6, 6), false);
        mask[[0, 3]] = true;
        let expected = Mask::from_shape_fn((6, 6), |(y, x)| y <= 2 && (1..=5).contains(&x));
        assert_eq!(dilate(&mask, 2), expected);
        assert_eq!(dilate(&mask, 0), mask);
    }
}
