//! Where one concept lies.

use medfocus_plugin_api::{BBox, Working};
use ndarray::{Array2, s};

/// A concept in the working image.
#[derive(Clone, Debug, PartialEq)]
pub struct Region {
    /// Its pixels; some.
    pub inside: Array2<bool>,
    /// The smallest box that holds them.
    pub bbox: BBox<Working>,
}

impl Region {
    /// The region of these pixels of an image inside a box of it; nothing if there are none.
    ///
    /// # Panics
    ///
    /// If the box ends to the right of the image.
    pub fn within(mut inside: Array2<bool>, content: &BBox<Working>) -> Option<Self> {
        let (mut left, mut right, mut top, mut bottom) = (u32::MAX, 0, u32::MAX, 0);
        let [x1, y1, x2, y2] = content.corners();
        for (y, mut row) in (0..).zip(inside.rows_mut()) {
            if !(y1..y2).contains(&y) {
                row.fill(false);
            }
            row.slice_mut(s![..x1 as usize]).fill(false);
            row.slice_mut(s![x2 as usize..]).fill(false);
            let first = row.iter().position(|&pixel| pixel);
            let last = row.iter().rposition(|&pixel| pixel);
            if let (Some(first), Some(last)) = (first, last) {
                (left, right) = (left.min(first as u32), right.max(last as u32 + 1));
                (top, bottom) = (top.min(y), y + 1);
            }
        }
        let bbox = BBox::new(left, top, right, bottom).ok()?;
        Some(Self { inside, bbox })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn a_region_is_cut_to_the_content() {
        let pixels = array![
            [true, true, true, true],
            [false, false, true, false],
            [false, true, false, true]
        ];
        let of = |corners: [u32; 4]| {
            let [x1, y1, x2, y2] = corners;
            Region::within(pixels.clone(), &BBox::new(x1, y1, x2, y2).unwrap())
        };
        assert_eq!(of([0, 0, 4, 3]).unwrap().bbox.corners(), [0, 0, 4, 3]);
        let cut = of([0, 1, 3, 3]).unwrap();
        assert_eq!(cut.bbox.corners(), [1, 1, 3, 3]);
        assert_eq!(cut.inside.iter().filter(|inside| **inside).count(), 2);
        assert_eq!(of([0, 1, 2, 2]), None);
    }
}
