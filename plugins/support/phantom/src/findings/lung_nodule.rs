//! Lung nodule: a sphere of soft tissue, 4 to 6 % of the film's width in radius.

use super::{FindingInstance, Lesion, site};
use crate::anatomy::Anatomy;
use crate::patient::Patient;
use crate::pixel_box::Mask;
use crate::raster::{Grid, Layers, cover_ellipse, ellipse, lerp};

#[derive(Debug)]
pub(super) struct Nodule {
    centre: [f32; 2],
    radius: f32,
}

impl Nodule {
    pub fn new(instance: &FindingInstance, patient: &Patient, anatomy: &Anatomy) -> Self {
        let radius = lerp(0.08, 0.115, instance.severity);
        let side = instance.lateral_side();
        let centre = site::free_point(
            anatomy,
            patient,
            side,
            instance.site,
            [0.2, 1.0],
            radius + 0.05,
        );
        Nodule { centre, radius }
    }
}

impl Lesion for Nodule {
    fn paint(&self, _: &Anatomy, grid: &Grid, layers: &mut Layers) {
        ellipse(grid, self.centre, [self.radius; 2], |index, _, _, q| {
            layers.extra[index] += 0.40 * q.sqrt();
        });
    }

    fn mask(&self, _: &Anatomy, grid: &Grid) -> Mask {
        let mut mask = grid.empty_mask();
        cover_ellipse(&mut mask, grid, self.centre, [self.radius; 2]);
        mask
    }
}
