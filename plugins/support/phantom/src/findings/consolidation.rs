//! Consolidation: an ill-defined, cloudy patch made of merging ellipses.

use super::{FindingInstance, Lesion, site};
use crate::anatomy::Anatomy;
use crate::concept::Side;
use crate::dice::{Dice, Purpose};
use crate::lung_field::{NOTICEABLE, lung_mask, visit_lung};
use crate::patient::Patient;
use crate::pixel_box::Mask;
use crate::raster::{Cloud, Grid, Layers, lerp, smooth};

const LOBES: usize = 7;

#[derive(Debug)]
pub(super) struct Patch {
    side: Side,
    /// Centre and half axes of each lobe.
    lobes: [([f32; 2], [f32; 2]); LOBES],
    cloud: Cloud,
}

impl Patch {
    pub fn new(instance: &FindingInstance, patient: &Patient, anatomy: &Anatomy) -> Self {
        let side = instance.lateral_side();
        let size = lerp(0.23, 0.32, instance.severity);
        let centre = site::free_point(
            anatomy,
            patient,
            side,
            instance.site,
            [0.25, 0.95],
            0.55 * size,
        );
        let mut dice = Dice::new(instance.seed, Purpose::Lesion);
        let lobes = [(); LOBES].map(|()| {
            let at = [0, 1].map(|i| centre[i] + 0.8 * size * dice.bell());
            (
                at,
                [size * dice.range(0.45, 0.95), size * dice.range(0.45, 0.85)],
            )
        });
        Patch {
            side,
            lobes,
            cloud: Cloud::new(instance.seed >> 7, 2.2),
        }
    }

    /// Share of the air replaced at a film point, before the lung's borders are considered.
    fn opacity(&self, x: f32, y: f32) -> f32 {
        let mut field = 0.0;
        for (centre, axes) in &self.lobes {
            let (dx, dy) = ((x - centre[0]) / axes[0], (y - centre[1]) / axes[1]);
            let q = (1.0 - dx * dx - dy * dy).max(0.0);
            field += q * q;
        }
        if field <= 0.0 {
            return 0.0;
        }
        smooth(0.60 * field + 0.26 * self.cloud.at(x, y) * smooth(3.0 * field))
    }
}

/// Share of the air a dense patch replaces.
const DENSITY: f32 = 0.92;

impl Lesion for Patch {
    fn paint(&self, anatomy: &Anatomy, grid: &Grid, layers: &mut Layers) {
        visit_lung(grid, anatomy, self.side, |pixel| {
            layers.replace_air(pixel.index, DENSITY * self.opacity(pixel.x, pixel.y));
        });
    }

    fn mask(&self, anatomy: &Anatomy, grid: &Grid) -> Mask {
        lung_mask(grid, anatomy, self.side, |pixel| {
            DENSITY * self.opacity(pixel.x, pixel.y) * pixel.clear >= NOTICEABLE
        })
    }
}
