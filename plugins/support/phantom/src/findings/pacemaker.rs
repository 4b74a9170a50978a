//! Pacemaker: a generator below the clavicle and leads into the heart.

use super::{FindingInstance, Lesion};
use crate::anatomy::Anatomy;
use crate::concept::Side;
use crate::pixel_box::Mask;
use crate::raster::{Grid, Knot, Layers, Profile, bezier, cover, lerp, stroke};

#[derive(Debug)]
pub(super) struct Pacemaker {
    generator: [Knot; 2],
    leads: Vec<Knot>,
}

impl Pacemaker {
    pub fn new(instance: &FindingInstance, anatomy: &Anatomy) -> Self {
        let side = instance.lateral_side();
        let lung = anatomy.lungs.of(side);
        let y = lung.apex + lerp(0.30, 0.38, instance.site[1]);
        let lateral = lung.borders(y).map_or(0.55, |[lateral, _]| lateral.0);
        let q = lateral - lerp(0.10, 0.18, instance.site[0]);
        let [x, y] = anatomy.midline.point(side, q, y);
        let radius = lerp(0.075, 0.09, instance.severity);
        let half = 0.04;
        let generator = [
            Knot {
                x: x - half,
                y: y + 0.012,
                r: radius,
            },
            Knot {
                x: x + half,
                y: y - 0.012,
                r: radius,
            },
        ];
        // Up under the clavicle, down the superior vena cava on the patient's right, into the right ventricle.
        let lead = (0.009, 0.009);
        let top = [x, y - radius];
        let vein = anatomy.midline.point(side, 0.20, lung.apex + 0.20);
        let cava = anatomy
            .midline
            .point(Side::Right, 0.07, anatomy.mediastinum.carina);
        let atrium = anatomy.midline.point(
            Side::Right,
            0.12,
            lerp(anatomy.heart.top, anatomy.heart.bottom, 0.55),
        );
        let tip = anatomy
            .midline
            .point(Side::Left, 0.24, anatomy.heart.bottom - 0.10);
        let floor = anatomy
            .midline
            .point(Side::Right, 0.06, anatomy.heart.bottom - 0.02);
        let leads = bezier(top, [lerp(x, vein[0], 0.3), vein[1] - 0.06], vein, lead, 6)
            .chain(bezier(vein, [cava[0], vein[1] + 0.04], cava, lead, 6))
            .chain(bezier(
                cava,
                [cava[0] - 0.03, 0.5 * (cava[1] + atrium[1])],
                atrium,
                lead,
                5,
            ))
            .chain(bezier(atrium, floor, tip, lead, 6))
            .collect();
        Pacemaker { generator, leads }
    }
}

impl Lesion for Pacemaker {
    fn paint(&self, _: &Anatomy, grid: &Grid, layers: &mut Layers) {
        stroke(&mut layers.metal, grid, &self.leads, 0.45, Profile::Rod);
        stroke(
            &mut layers.metal,
            grid,
            &self.generator,
            0.50,
            Profile::Plate,
        );
    }

    fn mask(&self, _: &Anatomy, grid: &Grid) -> Mask {
        let mut mask = grid.empty_mask();
        cover(&mut mask, grid, &self.leads);
        cover(&mut mask, grid, &self.generator);
        mask
    }
}
