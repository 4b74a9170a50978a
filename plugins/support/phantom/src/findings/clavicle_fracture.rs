//! Clavicle fracture: the shaft broken, its ends apart and out of line.

use super::{FindingInstance, Lesion};
use crate::anatomy::{Anatomy, Clavicle};
use crate::concept::Side;
use crate::pixel_box::Mask;
use crate::raster::{Grid, cover, lerp};

#[derive(Debug)]
pub(super) struct Fracture {
    side: Side,
    normal: Clavicle,
    broken: Clavicle,
    /// Knots that moved.
    moved: std::ops::Range<usize>,
}

impl Fracture {
    pub fn new(instance: &FindingInstance, anatomy: &Anatomy) -> Self {
        let side = instance.lateral_side();
        let normal = anatomy.clavicles.of(side).clone();
        let mut broken = normal.clone();
        let segments = normal.knots.len() - 1;
        let place = (lerp(0.36, 0.58, instance.site[0]) * segments as f32) as usize;
        let shift = lerp(0.085, 0.115, instance.severity);
        let reach = 0.34 * segments as f32;
        let first = (place as f32 - reach).max(0.0).ceil() as usize;
        let last = ((place as f32 + reach).floor() as usize).min(segments);
        for (index, knot) in broken.knots.iter_mut().enumerate() {
            let away = index as f32 - place as f32 - 0.5;
            let pull = 1.0 - (away.abs() / reach).min(1.0);
            // The medial end is pulled up by the neck muscles, the lateral end sags with the arm.
            let (down, along) = if away < 0.0 {
                (-0.7 * shift, -0.022)
            } else {
                (shift, 0.022)
            };
            knot.y += down * pull * pull;
            knot.x += side.sign() * along * pull;
        }
        broken.broken_at = Some(place + 1);
        Fracture {
            side,
            normal,
            broken,
            moved: first..last + 1,
        }
    }
}

impl Lesion for Fracture {
    fn alter(&self, anatomy: &mut Anatomy) {
        *anatomy.clavicles.of_mut(self.side) = self.broken.clone();
    }

    fn mask(&self, _: &Anatomy, grid: &Grid) -> Mask {
        let mut mask = grid.empty_mask();
        let split = self.broken.broken_at.unwrap_or(self.moved.end);
        cover(&mut mask, grid, &self.normal.knots[self.moved.clone()]);
        cover(&mut mask, grid, &self.broken.knots[self.moved.start..split]);
        cover(&mut mask, grid, &self.broken.knots[split..self.moved.end]);
        mask
    }
}
