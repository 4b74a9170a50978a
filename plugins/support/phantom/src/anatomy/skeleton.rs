//! Ribs, clavicles, shoulder girdle and spine.

use super::{Lung, Midline, Pair, Strokes};
use crate::concept::Side;
use crate::patient::Patient;
use crate::raster::{Knot, bezier, smooth};

const RIBS: usize = 10;

/// Bones that no finding changes.
#[derive(Clone, Debug)]
pub(crate) struct Skeleton {
    pub density: f32,
    pub posterior_ribs: Strokes,
    pub anterior_ribs: Strokes,
    pub shoulders: Strokes,
    pub shoulder_density: f32,
    pub spine: Spine,
}

impl Skeleton {
    pub fn new(patient: &Patient, midline: Midline, lungs: &Pair<Lung>) -> Skeleton {
        let skeleton = &patient.skeleton;
        let mut posterior_ribs = Strokes::default();
        let mut anterior_ribs = Strokes::default();
        let mut shoulders = Strokes::default();
        for side in Side::BOTH {
            let lung = lungs.of(side);
            for rib in 0..RIBS {
                add_rib(patient, lung, rib, &mut posterior_ribs, &mut anterior_ribs);
            }
            add_shoulder(side, patient, midline, &mut shoulders);
        }
        Skeleton {
            density: skeleton.density,
            posterior_ribs,
            anterior_ribs,
            shoulders,
            shoulder_density: skeleton.scapula_density,
            spine: Spine {
                midline,
                half_width: skeleton.spine,
                bow: skeleton.scoliosis,
                vertebra: skeleton.vertebra,
            },
        }
    }
}

/// One rib: from the spine out and round the lateral wall, then forward and down.
fn add_rib(
    patient: &Patient,
    lung: &Lung,
    rib: usize,
    posterior: &mut Strokes,
    anterior: &mut Strokes,
) {
    let (skeleton, thorax) = (&patient.skeleton, &patient.thorax);
    let level = rib as f32;
    let start = thorax.apex + skeleton.rib_start + level * skeleton.rib_spacing;
    let slope = skeleton.rib_slope * (0.6 + 0.09 * level) + 0.02;
    let turn = start + slope;
    let reach = lung
        .borders(turn.max(thorax.apex + 0.03))
        .map_or(0.3, |[lateral, _]| lateral.0)
        + 0.01;
    let radius = skeleton.rib_radius * (0.85 + 0.03 * level.min(5.0));
    let at = |q: f32, y: f32| lung.midline.point(lung.side, q, y);
    let crest = start - 0.35 * slope;
    posterior.push(bezier(
        at(0.07, start),
        at(0.72 * reach, crest),
        at(reach, turn),
        (radius, 0.85 * radius),
        8,
    ));
    if rib < 7 {
        let end_q = (0.40 + 0.035 * level) * reach;
        let end_y = turn + 0.16 + 0.5 * slope;
        let bend = at(1.03 * reach, turn + 0.5 * (end_y - turn));
        anterior.push(bezier(
            at(reach, turn),
            bend,
            at(end_q, end_y),
            (0.85 * radius, 1.1 * radius),
            8,
        ));
    }
}

/// Scapula and humeral head.
fn add_shoulder(side: Side, patient: &Patient, midline: Midline, shoulders: &mut Strokes) {
    let (skeleton, thorax) = (&patient.skeleton, &patient.thorax);
    let q = skeleton.scapula * thorax.half_width;
    let top = thorax.apex + 0.12;
    let at = |q: f32, y: f32| midline.point(side, q, y);
    // Lateral border down to the lower angle, spine of the scapula, glenoid, humeral head and shaft.
    shoulders.push(bezier(
        at(q + 0.16, top + 0.10),
        at(q + 0.06, top + 0.40),
        at(q - 0.02, top + 0.62),
        (0.03, 0.018),
        6,
    ));
    shoulders.push(bezier(
        at(q - 0.14, top + 0.02),
        at(q + 0.05, top - 0.06),
        at(q + 0.22, top - 0.05),
        (0.02, 0.03),
        6,
    ));
    let head = at(q + 0.30, top + 0.10);
    shoulders.push(
        [Knot {
            x: head[0],
            y: head[1],
            r: 0.10,
        }; 2],
    );
    let shaft = at(q + 0.36, top + 0.55);
    shoulders.push([
        Knot {
            x: head[0],
            y: head[1],
            r: 0.075,
        },
        Knot {
            x: shaft[0],
            y: shaft[1],
            r: 0.055,
        },
    ]);
}

/// The vertebral column.
#[derive(Clone, Debug)]
pub(crate) struct Spine {
    midline: Midline,
    half_width: f32,
    bow: f32,
    vertebra: f32,
}

/// The spine in one pixel row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SpineRow {
    centre: f32,
    inverse: f32,
    body: f32,
    process: f32,
}

impl Spine {
    pub fn row(&self, y: f32) -> SpineRow {
        let phase = (y + 4.0) / self.vertebra;
        let phase = phase - phase.floor();
        let from_disc = (phase - 0.5).abs() * 2.0;
        // The body is wide at its end plates and narrow at its waist; the disc is darker.
        let disc = smooth((from_disc - 0.78) * 6.0);
        let waist = 0.94 + 0.06 * from_disc * from_disc;
        SpineRow {
            centre: self.midline.x(y) + self.bow * (1.0 - y * y),
            inverse: 1.0 / (self.half_width * waist),
            body: 1.0 - 0.45 * disc,
            process: smooth(1.0 - 2.5 * (phase - 0.45).abs()),
        }
    }
}

impl SpineRow {
    /// x of the right and left borders.
    pub fn span(&self) -> (f32, f32) {
        let half = 1.0 / self.inverse;
        (self.centre - half, self.centre + half)
    }

    /// Path length, 0 to about 1.3.
    #[inline(always)]
    pub fn depth(&self, x: f32) -> f32 {
        let t = (x - self.centre) * self.inverse;
        let t2 = t * t;
        let body = (1.6 * (1.0 - t2 * t2)).clamp(0.0, 1.0);
        let process = (1.0 - 30.0 * t2).max(0.0);
        self.body * body + 0.35 * self.process * process
    }
}

/// One clavicle, from the sternal to the acromial end.
#[derive(Clone, Debug)]
pub(crate) struct Clavicle {
    pub knots: Vec<Knot>,
    /// Index of the first knot beyond a fracture.
    pub broken_at: Option<usize>,
}

/// Segments of a clavicle's centre line.
const CLAVICLE_SEGMENTS: usize = 24;

impl Clavicle {
    pub fn new(side: Side, patient: &Patient, midline: Midline) -> Clavicle {
        let (skeleton, thorax) = (&patient.skeleton, &patient.thorax);
        let radius = skeleton.clavicle_radius;
        let y0 = thorax.apex + skeleton.clavicle_drop;
        // The outer end stays under the shoulder's skin.
        let rise = skeleton
            .clavicle_rise
            .min(y0 - patient.habitus.shoulder - 0.20);
        let (q0, q1) = (0.10, 0.86 * thorax.half_width);
        let knots = (0..=CLAVICLE_SEGMENTS)
            .map(|i| {
                let t = i as f32 / CLAVICLE_SEGMENTS as f32;
                // The S: convex forward near the sternum, concave near the shoulder.
                let bow = 0.10 * t * (1.0 - t) * (1.0 - 1.6 * t);
                let ends = (2.0 * t - 1.0) * (2.0 * t - 1.0);
                let [x, y] = midline.point(side, q0 + (q1 - q0) * t, y0 - rise * t - bow);
                Knot {
                    x,
                    y,
                    r: radius * (0.82 + 0.28 * ends),
                }
            })
            .collect();
        Clavicle {
            knots,
            broken_at: None,
        }
    }

    /// The unbroken pieces of the centre line.
    pub fn pieces(&self) -> impl Iterator<Item = &[Knot]> {
        let (first, second) = self
            .knots
            .split_at(self.broken_at.unwrap_or(self.knots.len()));
        [first, second]
            .into_iter()
            .filter(|piece| !piece.is_empty())
    }
}
