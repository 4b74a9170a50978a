//! Hiatal hernia: a round retrocardiac shadow with an air-fluid level.

use super::{FindingInstance, Lesion};
use crate::anatomy::Anatomy;
use crate::concept::Side;
use crate::pixel_box::Mask;
use crate::raster::{Grid, Layers, cover_ellipse, ellipse, lerp, smooth};

#[derive(Debug)]
pub(super) struct Hernia {
    centre: [f32; 2],
    radius: f32,
    /// y of the fluid level.
    level: f32,
}

impl Hernia {
    pub fn new(instance: &FindingInstance, anatomy: &Anatomy) -> Self {
        let radius = lerp(0.15, 0.20, instance.severity);
        let y = anatomy.heart.bottom - radius - lerp(0.02, 0.08, instance.site[1]);
        let centre = anatomy
            .midline
            .point(Side::Left, lerp(0.06, 0.14, instance.site[0]), y);
        Hernia {
            centre,
            radius,
            level: y + radius * lerp(0.1, 0.35, instance.site[1]),
        }
    }
}

impl Lesion for Hernia {
    fn paint(&self, _: &Anatomy, grid: &Grid, layers: &mut Layers) {
        ellipse(grid, self.centre, [self.radius; 2], |index, _, y, q| {
            let wall = (4.5 * q * (1.0 - q)).min(1.0) * smooth(2.5 - 6.0 * q);
            let gas = smooth((q - 0.15) * 3.5) * smooth((self.level - y) * (1.0 / 0.015));
            layers.extra[index] += 0.03 * wall - 0.30 * gas + 0.05 * smooth(5.0 * q);
        });
    }

    fn mask(&self, _: &Anatomy, grid: &Grid) -> Mask {
        let mut mask = grid.empty_mask();
        cover_ellipse(&mut mask, grid, self.centre, [self.radius; 2]);
        mask
    }
}
