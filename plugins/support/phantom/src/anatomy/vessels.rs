//! Lung roots and the vascular trees that leave them.

use super::{Midline, Strokes};
use crate::concept::Side;
use crate::dice::{Dice, Purpose};
use crate::patient::Patient;
use crate::raster::{Knot, bezier};

/// One lung root with its vessels.
#[derive(Clone, Debug)]
pub(crate) struct Hilum {
    /// Centre of the lung root.
    pub centre: [f32; 2],
    /// Radius of a normal root.
    pub size: f32,
    pub vessels: Strokes,
    /// Main bronchus: carina to root.
    pub bronchus: Vec<Knot>,
}

/// Main branches: direction (outwards, downwards), half width.
const BRANCHES: [([f32; 2], f32); 7] = [
    ([0.30, -0.95], 0.015),
    ([0.72, -0.69], 0.014),
    ([0.97, -0.24], 0.012),
    ([0.95, 0.31], 0.013),
    ([0.74, 0.67], 0.016),
    ([0.48, 0.88], 0.019),
    ([0.16, 0.99], 0.018),
];

/// Times a main branch divides.
const GENERATIONS: usize = 3;

impl Hilum {
    pub fn new(side: Side, patient: &Patient, midline: Midline) -> Hilum {
        let (hila, thorax) = (&patient.hila, &patient.thorax);
        let middle = 0.5 * (thorax.apex + thorax.base);
        let rise = if side == Side::Left {
            hila.left_rise
        } else {
            0.0
        };
        let y = middle + hila.height - rise - 0.02;
        let q = if side == Side::Left { 0.30 } else { 0.27 } * thorax.half_width;
        let centre = midline.point(side, q, y);
        let carina = midline.point(side, 0.01, middle - 0.16);
        let mut tree = Tree {
            dice: Dice::new(hila.vessel_seed ^ side as u64, Purpose::Vessels),
            sign: side.sign(),
            strokes: Strokes::default(),
        };
        tree.root(centre, hila.size);
        for (direction, radius) in BRANCHES {
            let from = [
                centre[0] + 0.02 * tree.sign * direction[0],
                centre[1] + 0.11 * direction[1],
            ];
            let towards = rotate(direction, tree.dice.range(-0.16, 0.16));
            let length = 0.27 * thorax.half_width * tree.dice.range(0.8, 1.2);
            tree.branch(from, towards, length, radius * thorax.vessels, GENERATIONS);
        }
        let elbow = [0.5 * (carina[0] + centre[0]), carina[1] + 0.03];
        Hilum {
            centre,
            size: hila.size,
            vessels: tree.strokes,
            bronchus: bezier(carina, elbow, centre, (0.028, 0.016), 4).collect(),
        }
    }

    /// Half axes of the ellipse that holds the root, normal or enlarged.
    pub fn extent(&self) -> [f32; 2] {
        [0.055 + 1.1 * self.size, 0.08 + 1.2 * self.size]
    }
}

struct Tree {
    dice: Dice,
    sign: f32,
    strokes: Strokes,
}

impl Tree {
    /// The pulmonary artery's comma at the root, its upper branch, and vessels seen end on.
    fn root(&mut self, centre: [f32; 2], size: f32) {
        let s = self.sign;
        let at = |dx: f32, dy: f32| [centre[0] + s * dx, centre[1] + dy];
        self.strokes.push(bezier(
            at(-0.09, -0.05),
            at(0.02, -0.06),
            at(0.03, 0.12),
            (0.6 * size, 0.36 * size),
            4,
        ));
        self.strokes.push(bezier(
            at(-0.06, 0.02),
            at(0.0, -0.03),
            at(0.03, -0.13),
            (0.45 * size, 0.25 * size),
            3,
        ));
        for _ in 0..4 {
            let [x, y] = at(self.dice.range(0.0, 0.13), self.dice.range(-0.12, 0.12));
            let r = self.dice.range(0.010, 0.017);
            self.strokes.push([Knot { x, y, r }; 2]);
        }
    }

    /// A gently curving vessel that tapers and divides in two.
    fn branch(
        &mut self,
        from: [f32; 2],
        direction: [f32; 2],
        length: f32,
        radius: f32,
        generations: usize,
    ) {
        let onwards = rotate(direction, self.dice.range(-0.14, 0.14));
        let step = |p: [f32; 2], d: [f32; 2]| {
            [
                p[0] + 0.5 * length * self.sign * d[0],
                p[1] + 0.5 * length * d[1],
            ]
        };
        let middle = step(from, direction);
        let end = step(middle, onwards);
        self.strokes
            .push(bezier(from, middle, end, (radius, 0.72 * radius), 3));
        if generations > 0 {
            let turn = if self.dice.chance(0.5) { 1.0 } else { -1.0 };
            for (spread, share) in [(0.08, 0.95), (-0.24, 0.75)] {
                let towards = rotate(onwards, turn * spread * self.dice.range(0.6, 1.4));
                let reach = length * share * self.dice.range(0.75, 1.0);
                self.branch(end, towards, reach, 0.72 * share * radius, generations - 1);
            }
        }
    }
}

/// Rotates a unit vector by twice the arc tangent of `half_tangent`, without trigonometry.
fn rotate(d: [f32; 2], half_tangent: f32) -> [f32; 2] {
    let t2 = half_tangent * half_tangent;
    let (c, s) = ((1.0 - t2) / (1.0 + t2), 2.0 * half_tangent / (1.0 + t2));
    [c * d[0] - s * d[1], s * d[0] + c * d[1]]
}
