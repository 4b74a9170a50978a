//! Lung fields and the domes of the diaphragm beneath them.

use super::{Curve, Midline};
use crate::concept::Side;
use crate::patient::Patient;
use crate::raster::bulge;

/// One half of the diaphragm: height over the lateral distance.
#[derive(Clone, Debug)]
pub(crate) struct Dome {
    /// Lateral distance and height of the top.
    pub peak: [f32; 2],
    /// Lateral distance of the costophrenic angle, and the fall from the top to it.
    lateral: f32,
    lateral_drop: f32,
    /// Fall from the top to the midline.
    medial_drop: f32,
}

impl Dome {
    /// y and its slope over `q`.
    #[inline]
    pub fn at(&self, q: f32) -> (f32, f32) {
        if q > self.peak[0] {
            let reach = self.lateral - self.peak[0];
            let s = ((q - self.peak[0]) / reach).min(1.15);
            let s2 = s * s;
            let fall = self.lateral_drop * (0.75 * s2 + 0.25 * s2 * s2 * s2);
            (
                self.peak[1] + fall,
                self.lateral_drop * (1.5 * s + 1.5 * s2 * s2 * s) / reach,
            )
        } else {
            let s = (self.peak[0] - q) / self.peak[0];
            (
                self.peak[1] + self.medial_drop * s * s,
                -2.0 * self.medial_drop * s / self.peak[0],
            )
        }
    }
}

/// One lung field: from the mediastinum to the ribs, from the apex to the diaphragm. Heart and mediastinum
/// overlap it and hide part of it.
#[derive(Clone, Debug)]
pub(crate) struct Lung {
    pub side: Side,
    pub midline: Midline,
    /// y of the apex and of the costophrenic angle.
    pub apex: f32,
    pub base: f32,
    pub dome: Dome,
    /// Lateral distance of both borders over `sqrt` of the height fraction, which rounds the apex.
    lateral: Curve,
    medial: Curve,
}

/// A lung's borders in one pixel row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LungRow {
    sign: f32,
    midline: f32,
    lateral: f32,
    lateral_scale: f32,
    medial: f32,
    medial_scale: f32,
}

/// Signed distances to the three borders, positive inside.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LungDistances {
    pub lateral: f32,
    pub medial: f32,
    pub dome: f32,
}

impl LungDistances {
    /// Signed distance to the nearest border.
    #[inline(always)]
    pub fn nearest(&self) -> f32 {
        self.lateral.min(self.medial).min(self.dome)
    }

    /// The ribs beside the lung, seen edge on: a line along the lateral border, fading below the diaphragm.
    #[inline(always)]
    pub fn rim(&self) -> f32 {
        let offset = self.lateral + 0.022;
        (1.0 - 1600.0 * offset * offset).max(0.0)
            * (20.0 * self.medial.min(self.dome + 0.08)).clamp(0.0, 1.0)
    }

    /// Depth of air along the ray, 0 to 1.
    #[inline(always)]
    pub fn air(&self) -> f32 {
        bulge(self.lateral * (1.0 / 0.20))
            * bulge(self.medial * (1.0 / 0.10))
            * bulge(self.dome * (1.0 / 0.07))
    }
}

impl LungRow {
    /// Least and greatest x of the lung with the ribs beside it.
    pub fn span(&self) -> (f32, f32) {
        let reach = 0.06 / self.lateral_scale;
        let (a, b) = (
            self.midline + self.sign * self.medial,
            self.midline + self.sign * (self.lateral + reach),
        );
        (a.min(b), a.max(b))
    }

    /// Distances at film column `x`; `dome` is the column's `(y, scale)` of the diaphragm relative to the
    /// row, from [`Lung::dome_columns`].
    #[inline(always)]
    pub fn distances(&self, x: f32, y: f32, dome: [f32; 2]) -> LungDistances {
        let q = self.sign * (x - self.midline);
        LungDistances {
            lateral: (self.lateral - q) * self.lateral_scale,
            medial: (q - self.medial) * self.medial_scale,
            dome: (dome[0] - y) * dome[1],
        }
    }
}

impl Lung {
    pub fn new(side: Side, patient: &Patient, midline: Midline) -> Lung {
        let thorax = &patient.thorax;
        let (rise, turn) = match side {
            Side::Left => (thorax.left_dome, 1.0 - thorax.rotation),
            Side::Right => (thorax.right_dome, 1.0 + thorax.rotation),
        };
        let width = thorax.half_width * turn;
        let barrel = 0.04 * (thorax.barrel - 0.5);
        let lateral = [
            [0.0, 0.40],
            [0.2, 0.535],
            [0.32, 0.635 + barrel],
            [0.45, 0.755 + 1.5 * barrel],
            [0.59, 0.86 + 1.5 * barrel],
            [0.74, 0.95 + barrel],
            [0.87, 0.99],
            [1.0, 1.0],
        ];
        let medial = [
            [0.0, 0.40],
            [0.12, 0.25],
            [0.25, 0.15],
            [0.4, 0.11],
            [1.0, 0.09],
        ];
        let scaled =
            |knots: &[[f32; 2]]| Curve::new(knots.iter().map(|k| [k[0], k[1] * width]).collect());
        let peak_y = thorax.base - rise;
        Lung {
            side,
            midline,
            apex: thorax.apex,
            base: thorax.base,
            dome: Dome {
                peak: [0.42 * width, peak_y],
                lateral: width,
                lateral_drop: rise,
                medial_drop: 0.16 * rise,
            },
            lateral: scaled(&lateral),
            medial: scaled(&medial),
        }
    }

    /// Lateral and medial borders at height `y` as `(q, dq/dy)`; `None` above the apex.
    pub fn borders(&self, y: f32) -> Option<[(f32, f32); 2]> {
        let height = self.base - self.apex;
        let fraction = (y - self.apex) / height;
        if fraction <= 0.0 {
            return None;
        }
        let g = fraction.sqrt();
        let chain = 0.5 / (g * height);
        Some([&self.lateral, &self.medial].map(|curve| {
            let (q, slope) = curve.at(g);
            (q, slope * chain)
        }))
    }

    /// The borders of one row; `None` where the row misses the lung.
    pub fn row(&self, y: f32) -> Option<LungRow> {
        if y > self.base + 0.02 {
            return None;
        }
        let scale = |slope: f32| 1.0 / (1.0 + slope * slope).sqrt();
        self.borders(y).map(|[lateral, medial]| LungRow {
            sign: self.side.sign(),
            midline: self.midline.x(y),
            lateral: lateral.0,
            lateral_scale: scale(lateral.1),
            medial: medial.0,
            medial_scale: scale(medial.1),
        })
    }

    /// For each column: y of the diaphragm and the factor from vertical to perpendicular distance.
    pub fn dome_columns(&self, xs: &[f32]) -> Vec<[f32; 2]> {
        let (sign, midline) = (self.side.sign(), self.midline.x(self.base));
        xs.iter()
            .map(|x| {
                let (y, slope) = self.dome.at((sign * (x - midline)).max(0.0));
                [y, 1.0 / (1.0 + slope * slope).sqrt()]
            })
            .collect()
    }

    /// The costophrenic angle: the lowest lateral point.
    pub fn angle(&self) -> [f32; 2] {
        let q = self
            .borders(self.base)
            .map_or(0.0, |[lateral, _]| lateral.0);
        self.midline.point(self.side, q, self.base)
    }
}
