//! The mediastinum above and behind the heart: great vessels, aortic knob, trachea.

use super::{Curve, Midline};
use crate::patient::Patient;
use crate::raster::{bulge, smooth};

#[derive(Clone, Debug)]
pub(crate) struct Mediastinum {
    midline: Midline,
    /// y of the thoracic inlet and of the carina.
    pub inlet: f32,
    pub carina: f32,
    pub trachea: f32,
    /// Distances of the borders from the midline over y.
    right: Curve,
    left: Curve,
    /// Widening of each half at its greatest; 0 in a normal mediastinum.
    pub widening: f32,
}

/// The mediastinal borders in one pixel row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MediastinumRow {
    right: f32,
    left: f32,
}

impl Mediastinum {
    pub fn new(patient: &Patient, midline: Midline) -> Mediastinum {
        let (thorax, m) = (&patient.thorax, &patient.mediastinum);
        let height = thorax.base - thorax.apex;
        let knob = thorax.apex + m.knob_height * height;
        let middle = thorax.apex + 0.5 * height;
        let inlet = thorax.apex + 0.10;
        let h = m.half_width;
        let right = vec![
            [thorax.apex - 0.3, 0.95 * h],
            [inlet, 0.85 * h],
            [knob, 0.92 * h],
            [middle - 0.05, 1.05 * h],
            [thorax.base, 1.0 * h],
        ];
        let left = vec![
            [thorax.apex - 0.3, 0.95 * h],
            [inlet, 0.85 * h],
            [knob - 0.09, 0.92 * h],
            [knob, 0.95 * h + m.knob],
            [knob + 0.09, 0.98 * h + 0.3 * m.knob],
            [knob + 0.16, 1.0 * h],
            [middle, 1.15 * h],
            [thorax.base, 1.0 * h],
        ];
        Mediastinum {
            midline,
            inlet,
            carina: middle - 0.16,
            trachea: m.trachea,
            right: Curve::new(right),
            left: Curve::new(left),
            widening: 0.0,
        }
    }

    /// Half widths right and left of the midline at height `y`.
    pub fn half_widths(&self, y: f32) -> (f32, f32) {
        let wider = self.widening * self.widened_share(y);
        (self.right.at(y).0 + wider, self.left.at(y).0 + wider)
    }

    /// How much of the widening acts at height `y`: all of it around the aortic arch, none in the neck and
    /// beside the heart.
    pub fn widened_share(&self, y: f32) -> f32 {
        smooth((y - self.inlet + 0.24) * (1.0 / 0.30))
            * smooth((self.carina + 0.24 - y) * (1.0 / 0.30))
    }

    pub fn row(&self, y: f32) -> MediastinumRow {
        let (midline, (right, left)) = (self.midline.x(y), self.half_widths(y));
        MediastinumRow {
            right: midline - right,
            left: midline + left,
        }
    }
}

impl MediastinumRow {
    /// Signed distance to the nearer border, positive inside.
    #[inline(always)]
    pub fn distance(&self, x: f32) -> f32 {
        (x - self.right).min(self.left - x)
    }

    /// x of the right and left borders.
    pub fn span(&self) -> (f32, f32) {
        (self.right, self.left)
    }

    /// Path length, 0 to 1.
    #[inline(always)]
    pub fn depth(&self, x: f32) -> f32 {
        bulge((x - self.right) * (1.0 / 0.05)) * bulge((self.left - x) * (1.0 / 0.05))
    }
}
