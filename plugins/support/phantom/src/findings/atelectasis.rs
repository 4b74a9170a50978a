//! Atelectasis: two or three plates of collapsed lung.

use super::{FindingInstance, Lesion, site};
use crate::anatomy::Anatomy;
use crate::concept::Side;
use crate::dice::{Dice, Purpose};
use crate::lung_field::{NOTICEABLE, lung_mask};
use crate::patient::Patient;
use crate::pixel_box::Mask;
use crate::raster::{Grid, Knot, Layers, Profile, bezier, cover, lerp, stroke};

#[derive(Debug)]
pub(super) struct Plates {
    side: Side,
    plates: Vec<Vec<Knot>>,
}

impl Plates {
    pub fn new(instance: &FindingInstance, patient: &Patient, anatomy: &Anatomy) -> Self {
        let side = instance.lateral_side();
        let mut dice = Dice::new(instance.seed, Purpose::Lesion);
        let count = 2 + dice.index(2);
        let radius = lerp(0.022, 0.032, instance.severity);
        let lung = anatomy.lungs.of(side);
        let lowest = lung.dome.peak[1] - 0.08;
        let tilt = dice.range(-0.10, 0.10);
        let plates = (0..count)
            .map(|i| {
                let y = lowest - (0.13 + 0.03 * dice.unit()) * i as f32 - 0.12 * instance.site[1];
                let [low, high] = site::free_span(anatomy, patient, side, y, &anatomy.heart, 0.03)
                    .unwrap_or([0.5, 0.7].map(|q| q * patient.thorax.half_width));
                let length = (high - low).min(dice.range(0.34, 0.46));
                let start = lerp(low, high - length, instance.site[0]);
                let at = |q: f32, y: f32| anatomy.midline.point(side, q, y);
                let sag = dice.range(-0.03, 0.03);
                bezier(
                    at(start, y - tilt * length),
                    at(start + 0.5 * length, y + sag),
                    at(start + length, y + tilt * length),
                    (radius, 0.6 * radius),
                    5,
                )
                .collect()
            })
            .collect();
        Plates { side, plates }
    }
}

impl Lesion for Plates {
    fn paint(&self, _: &Anatomy, grid: &Grid, layers: &mut Layers) {
        for plate in &self.plates {
            stroke(&mut layers.fill, grid, plate, 0.72, Profile::Rod);
        }
    }

    fn mask(&self, anatomy: &Anatomy, grid: &Grid) -> Mask {
        let mut mask = grid.empty_mask();
        for plate in &self.plates {
            cover(&mut mask, grid, plate);
        }
        mask & lung_mask(grid, anatomy, self.side, |pixel| pixel.clear >= NOTICEABLE)
    }
}
