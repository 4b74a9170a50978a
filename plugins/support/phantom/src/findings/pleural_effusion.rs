//! Pleural effusion: fluid that rises along the chest wall.

use super::{FindingInstance, Lesion};
use crate::anatomy::Anatomy;
use crate::concept::Side;
use crate::lung_field::{NOTICEABLE, lung_mask, visit_lung};
use crate::pixel_box::Mask;
use crate::raster::{Grid, Layers, lerp, smooth};

#[derive(Debug)]
pub(super) struct Effusion {
    side: Side,
    /// Height of the fluid at the chest wall, and its fall towards the midline.
    level: f32,
    fall: f32,
    lateral: f32,
}

impl Effusion {
    pub fn new(instance: &FindingInstance, anatomy: &Anatomy) -> Self {
        let side = instance.lateral_side();
        let lung = anatomy.lungs.of(side);
        let dome = lung.base - lung.dome.peak[1];
        let lateral = lung
            .borders(lung.base)
            .map_or(0.7, |[lateral, _]| lateral.0);
        Effusion {
            side,
            level: lung.base - dome - lerp(0.05, 0.26, instance.severity),
            fall: lerp(0.10, 0.22, instance.site[0]),
            lateral,
        }
    }

    /// Depth below the fluid's edge at lateral distance `q`.
    fn depth(&self, q: f32, y: f32) -> f32 {
        let inwards = (1.0 - q / self.lateral).clamp(0.0, 1.0);
        y - self.level - self.fall * inwards * (2.0 - inwards)
    }
}

impl Lesion for Effusion {
    fn paint(&self, anatomy: &Anatomy, grid: &Grid, layers: &mut Layers) {
        visit_lung(grid, anatomy, self.side, |pixel| {
            let fluid = smooth(self.depth(pixel.q, pixel.y) * (1.0 / 0.06));
            layers.replace_air(pixel.index, fluid);
            let rounded = smooth(pixel.distances.lateral * (1.0 / 0.03));
            layers.extra[pixel.index] += 0.14 * fluid * rounded * pixel.clear;
        });
    }

    fn mask(&self, anatomy: &Anatomy, grid: &Grid) -> Mask {
        lung_mask(grid, anatomy, self.side, |pixel| {
            pixel.clear >= NOTICEABLE && self.depth(pixel.q, pixel.y) >= 0.0
        })
    }
}
