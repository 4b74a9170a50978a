//! The outline of the body and what fills it below the diaphragm.

use super::{Curve, Midline};
use crate::patient::Patient;
use crate::raster::{bulge, smooth};

/// Skin outline, symmetric about the midline.
#[derive(Clone, Debug)]
pub(crate) struct Body {
    midline: Midline,
    half_width: Curve,
    thickness: f32,
    breast: Option<Breast>,
}

#[derive(Clone, Debug)]
struct Breast {
    strength: f32,
    q: f32,
    y: f32,
    radius: f32,
}

/// The body's borders in one pixel row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyRow {
    midline: f32,
    half_width: f32,
    scale: f32,
    thickness: f32,
}

impl Body {
    pub fn new(patient: &Patient, midline: Midline) -> Body {
        let (habitus, thorax) = (&patient.habitus, &patient.thorax);
        let chest = thorax.half_width + habitus.wall;
        let s = habitus.shoulder;
        let knots = vec![
            [s - 0.35, habitus.neck - 0.02],
            [s - 0.06, habitus.neck],
            [s + 0.02, habitus.neck + 0.10],
            [s + 0.10, 0.56],
            [s + 0.19, 0.86],
            [s + 0.30, 1.05 + 0.6 * habitus.arms],
            [s + 0.42, 1.12 + habitus.arms],
            [-0.28, 1.08 + habitus.arms],
            [-0.02, chest + 0.03 + habitus.arms],
            [0.25, chest + 0.5 * habitus.arms],
            [0.6, chest],
            [1.0, chest - 0.02],
            [1.4, chest + 0.04],
        ];
        let breast = (habitus.breast > 0.0).then_some(Breast {
            strength: 0.11 * habitus.breast,
            q: 0.56 * thorax.half_width,
            y: thorax.base - 0.36,
            radius: habitus.breast_radius,
        });
        Body {
            midline,
            half_width: Curve::new(knots),
            thickness: 0.58 * habitus.thickness,
            breast,
        }
    }

    pub fn row(&self, y: f32) -> BodyRow {
        let (half_width, slope) = self.half_width.at(y);
        BodyRow {
            midline: self.midline.x(y),
            half_width,
            scale: 1.0 / (1.0 + slope * slope).sqrt(),
            // Thinner at the shoulders than at the belly.
            thickness: self.thickness * (1.02 + 0.10 * y),
        }
    }

    /// Adds the breasts' attenuation to a row.
    pub fn add_breasts(&self, y: f32, xs: &[f32], out: &mut [f32]) {
        let Some(breast) = &self.breast else { return };
        let dy = (y - breast.y) / breast.radius;
        // Round below, fading out above: the breast hangs from the chest wall.
        let dy = if dy < 0.0 { 0.55 * dy } else { dy };
        if dy * dy >= 1.0 {
            return;
        }
        let midline = self.midline.x(y);
        for (value, x) in out.iter_mut().zip(xs) {
            let dx = ((x - midline).abs() - breast.q) / breast.radius;
            *value += breast.strength * bulge(1.6 * (1.0 - dx * dx - dy * dy));
        }
    }
}

impl BodyRow {
    /// Attenuation of the soft tissue at column `x`.
    #[inline(always)]
    pub fn depth(&self, x: f32) -> f32 {
        let distance = (self.half_width - (x - self.midline).abs()) * self.scale;
        self.thickness * bulge(distance * (1.0 / 0.30))
    }
}

/// Liver, spleen and stomach.
#[derive(Clone, Debug)]
pub(crate) struct Abdomen {
    density: f32,
    /// Centre and half axes of the gastric bubble.
    pub bubble: Option<([f32; 2], [f32; 2])>,
}

impl Abdomen {
    pub fn new(patient: &Patient, midline: Midline) -> Abdomen {
        let (abdomen, thorax) = (&patient.abdomen, &patient.thorax);
        let bubble = (abdomen.bubble[0] > 0.0).then(|| {
            let y = thorax.base - thorax.left_dome + abdomen.bubble[1] + 0.06;
            let q = abdomen.bubble_q * thorax.half_width;
            ([midline.x(y) + q, y], abdomen.bubble)
        });
        Abdomen {
            density: 0.25 * abdomen.density,
            bubble,
        }
    }

    /// Attenuation `depth` below the diaphragm.
    #[inline(always)]
    pub fn depth(&self, depth: f32) -> f32 {
        self.density
            * (0.40 * smooth((depth + 0.015) * (1.0 / 0.03)) + 0.60 * bulge(depth * (1.0 / 0.40)))
    }
}
