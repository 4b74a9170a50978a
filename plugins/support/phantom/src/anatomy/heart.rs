//! The cardiac silhouette.

use super::{Curve, Midline};
use crate::patient::Patient;
use crate::raster::bulge;

/// Right and left borders over the height fraction, closed above and below.
#[derive(Clone, Debug)]
pub(crate) struct Heart {
    midline: Midline,
    pub top: f32,
    pub bottom: f32,
    /// Half widths right and left of the midline.
    pub right: f32,
    pub left: f32,
    right_border: Curve,
    left_border: Curve,
}

/// The heart's borders in one pixel row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeartRow {
    right: f32,
    right_scale: f32,
    left: f32,
    left_scale: f32,
    above: f32,
    below: f32,
}

impl Heart {
    /// A heart of the given cardiothoracic ratio.
    pub fn new(patient: &Patient, midline: Midline, ratio: f32) -> Heart {
        let (thorax, heart) = (&patient.thorax, &patient.heart);
        let middle = 0.5 * (thorax.apex + thorax.base);
        let width = ratio * 2.0 * thorax.half_width;
        let bulging = 0.09 * (heart.rounding - 0.4);
        let right_border = vec![
            [0.0, 0.40],
            [0.2, 0.56],
            [0.4, 0.80],
            [0.6, 0.97],
            [0.75, 1.0],
            [0.92, 0.95],
            [1.0, 0.80],
        ];
        let left_border = vec![
            [0.0, 0.33],
            [0.16, 0.43 + bulging],
            [0.33, 0.65 + 1.4 * bulging],
            [0.5, 0.84 + bulging],
            [0.68, 0.97],
            [0.84, 1.0],
            [0.94, 0.96],
            [1.0, 0.78],
        ];
        Heart {
            midline,
            top: middle - 0.06 + heart.top,
            bottom: thorax.base - thorax.left_dome + 0.06,
            right: (1.0 - heart.left_share) * width,
            left: heart.left_share * width,
            right_border: Curve::new(right_border),
            left_border: Curve::new(left_border),
        }
    }

    /// Half widths right and left of the midline at height `y`; zero outside the heart's height.
    pub fn half_widths(&self, y: f32) -> (f32, f32) {
        let t = (y - self.top) / (self.bottom - self.top);
        if !(0.0..=1.0).contains(&t) {
            return (0.0, 0.0);
        }
        (
            self.right * self.right_border.at(t).0,
            self.left * self.left_border.at(t).0,
        )
    }

    /// The borders of one row; `None` above and below the heart.
    pub fn row(&self, y: f32) -> Option<HeartRow> {
        let height = self.bottom - self.top;
        let t = (y - self.top) / height;
        if !(0.0..=1.0).contains(&t) {
            return None;
        }
        let midline = self.midline.x(y);
        let (right, right_slope) = self.right_border.at(t);
        let (left, left_slope) = self.left_border.at(t);
        let scale = |slope: f32, width: f32| {
            let s = slope * width / height;
            1.0 / (1.0 + s * s).sqrt()
        };
        Some(HeartRow {
            right: midline - right * self.right,
            right_scale: scale(right_slope, self.right),
            left: midline + left * self.left,
            left_scale: scale(left_slope, self.left),
            above: y - self.top,
            below: self.bottom - y,
        })
    }
}

impl HeartRow {
    /// Signed distance to the nearer lateral border, positive inside.
    #[inline(always)]
    pub fn distance(&self, x: f32) -> f32 {
        ((x - self.right) * self.right_scale).min((self.left - x) * self.left_scale)
    }

    /// x of the right and left borders.
    pub fn span(&self) -> (f32, f32) {
        (self.right, self.left)
    }

    /// Path length through the heart, 0 to 1.
    #[inline(always)]
    pub fn depth(&self, x: f32) -> f32 {
        let sides = bulge((x - self.right) * self.right_scale * (1.0 / 0.08))
            * bulge((self.left - x) * self.left_scale * (1.0 / 0.08));
        sides * bulge(self.above * (1.0 / 0.12)) * bulge(self.below * (1.0 / 0.06))
    }
}
