//! Pneumothorax: a rim of air without vessels, bounded by the pleural line.

use super::{FindingInstance, Lesion};
use crate::anatomy::{Anatomy, Lung};
use crate::concept::Side;
use crate::lung_field::{NOTICEABLE, lung_mask, visit_lung};
use crate::pixel_box::Mask;
use crate::raster::{Grid, Layers, lerp, smooth};

/// Half width of the pleural line.
const LINE: f32 = 0.013;

#[derive(Debug)]
pub(super) struct Pneumothorax {
    side: Side,
    /// Distance of the pleural line from the chest wall at the apex.
    gap: f32,
}

impl Pneumothorax {
    pub fn new(instance: &FindingInstance) -> Self {
        Pneumothorax {
            side: instance.lateral_side(),
            gap: lerp(0.20, 0.34, instance.severity),
        }
    }

    /// Distance of the pleural line from the chest wall: less and less downwards, closed at the base.
    fn gap(&self, lung: &Lung, y: f32) -> f32 {
        let fraction = ((y - lung.apex) / (lung.base - lung.apex)).clamp(0.0, 1.0);
        self.gap * (1.0 - 0.45 * fraction) * smooth((0.92 - fraction) * 3.0)
    }
}

impl Lesion for Pneumothorax {
    fn paint(&self, anatomy: &Anatomy, grid: &Grid, layers: &mut Layers) {
        let lung = anatomy.lungs.of(self.side);
        let line = LINE.max(0.75 * grid.pixel);
        visit_lung(grid, anatomy, self.side, |pixel| {
            let (gap, d) = (self.gap(lung, pixel.y), pixel.distances);
            if gap <= 0.0 || d.lateral > gap + line {
                return;
            }
            let within = pixel.clear
                * smooth(d.medial.min(d.dome) * (1.0 / 0.04))
                * smooth(d.lateral * (1.0 / 0.02));
            let air = within * smooth((gap - d.lateral) * (1.0 / 0.01));
            layers.vessel[pixel.index] *= 1.0 - air;
            let offset = (d.lateral - gap) / line;
            let pleura = (1.0 - offset * offset).max(0.0) * within;
            layers.extra[pixel.index] += 0.15 * pleura * (LINE / line) - 0.15 * air;
        });
    }

    fn mask(&self, anatomy: &Anatomy, grid: &Grid) -> Mask {
        let lung = anatomy.lungs.of(self.side);
        lung_mask(grid, anatomy, self.side, |pixel| {
            let gap = self.gap(lung, pixel.y);
            pixel.clear >= NOTICEABLE && gap > 0.0 && pixel.distances.lateral <= gap + LINE
        })
    }
}
