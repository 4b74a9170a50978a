//! Mediastinal widening: the upper mediastinum about twice as wide as normal.

use super::{FindingInstance, Lesion};
use crate::anatomy::Anatomy;
use crate::patient::Patient;
use crate::pixel_box::Mask;
use crate::raster::{Grid, lerp};
use crate::scene::row_mask;

/// Widening that counts, in film units.
const LEAST: f32 = 0.003;

#[derive(Debug)]
pub(super) struct Widening {
    amount: f32,
}

impl Widening {
    pub fn new(instance: &FindingInstance, patient: &Patient) -> Self {
        Widening {
            amount: lerp(0.22, 0.30, instance.severity) - patient.mediastinum.half_width,
        }
    }
}

impl Lesion for Widening {
    fn alter(&self, anatomy: &mut Anatomy) {
        anatomy.mediastinum.widening = self.amount;
    }

    fn mask(&self, anatomy: &Anatomy, grid: &Grid) -> Mask {
        let mediastinum = &anatomy.mediastinum;
        row_mask(grid, |y| {
            let row = (self.amount * mediastinum.widened_share(y) >= LEAST)
                .then(|| mediastinum.row(y))?;
            Some(move |x: f32| row.distance(x) >= 0.0)
        })
    }
}
