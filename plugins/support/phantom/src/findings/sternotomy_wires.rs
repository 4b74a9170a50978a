//! Sternotomy wires: five or six loops down the midline.

use super::{FindingInstance, Lesion};
use crate::anatomy::{Anatomy, Strokes};
use crate::dice::{Dice, Purpose};
use crate::pixel_box::Mask;
use crate::raster::{Grid, Knot, Layers, Profile, cover, lerp, stroke};

/// Corners of one twisted loop, outwards and downwards in units of its half axes.
const LOOP: [[f32; 2]; 9] = [
    [0.1, 1.3],
    [0.0, 0.9],
    [-0.75, 0.65],
    [-1.0, 0.0],
    [-0.7, -0.7],
    [0.0, -0.95],
    [0.7, -0.7],
    [1.0, 0.0],
    [0.0, 0.95],
];

#[derive(Debug)]
pub(super) struct Wires {
    loops: Strokes,
}

impl Wires {
    pub fn new(instance: &FindingInstance, anatomy: &Anatomy) -> Self {
        let mut dice = Dice::new(instance.seed, Purpose::Lesion);
        let count = 5 + dice.index(2);
        let (top, bottom) = (
            anatomy.mediastinum.inlet + 0.10,
            anatomy.heart.bottom - 0.14,
        );
        let size = lerp(0.85, 1.1, instance.severity);
        let mut loops = Strokes::default();
        for i in 0..count {
            let y = lerp(top, bottom, i as f32 / (count - 1) as f32) + dice.range(-0.015, 0.015);
            let x = anatomy.midline.x(y) + dice.range(-0.012, 0.012);
            let (ax, ay) = (0.060 * size, 0.032 * size);
            let tilt = dice.range(-0.3, 0.3);
            loops.push(LOOP.map(|[u, v]| Knot {
                x: x + ax * u,
                y: y + ay * v + tilt * ax * u,
                r: 0.011,
            }));
        }
        Wires { loops }
    }
}

impl Lesion for Wires {
    fn paint(&self, _: &Anatomy, grid: &Grid, layers: &mut Layers) {
        for wire in self.loops.iter() {
            stroke(&mut layers.metal, grid, wire, 0.5, Profile::Rod);
        }
    }

    fn mask(&self, _: &Anatomy, grid: &Grid) -> Mask {
        let mut mask = grid.empty_mask();
        for wire in self.loops.iter() {
            cover(&mut mask, grid, wire);
        }
        mask
    }
}
