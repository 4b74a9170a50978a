//! Hilar enlargement: dense lobules around one lung root.

use super::{FindingInstance, Lesion};
use crate::anatomy::Anatomy;
use crate::concept::Side;
use crate::dice::{Dice, Purpose};
use crate::pixel_box::Mask;
use crate::raster::{Grid, Layers, bulge, cover_ellipse, ellipse, lerp};

#[derive(Debug)]
pub(super) struct Lobules {
    side: Side,
    size: f32,
    /// Centre and half axes.
    lobules: [([f32; 2], [f32; 2]); 5],
}

impl Lobules {
    pub fn new(instance: &FindingInstance, anatomy: &Anatomy) -> Self {
        let side = instance.lateral_side();
        let centre = anatomy.hila.of(side).centre;
        let size = lerp(0.11, 0.15, instance.severity);
        let mut dice = Dice::new(instance.seed, Purpose::Lesion);
        // One lobule on each side of the root, so that it grows in every direction but inwards.
        let lobules = [
            [-0.3, -0.75],
            [0.3, -0.35],
            [-0.1, 0.05],
            [0.35, 0.35],
            [-0.15, 0.8],
        ]
        .map(|[out, down]: [f32; 2]| {
            let x = centre[0] + side.sign() * size * (out + 0.2 * dice.bell());
            let y = centre[1] + size * (down + 0.2 * dice.bell());
            (
                [x, y],
                [size * dice.range(0.6, 0.8), size * dice.range(0.6, 0.85)],
            )
        });
        Lobules {
            side,
            size,
            lobules,
        }
    }
}

impl Lesion for Lobules {
    fn alter(&self, anatomy: &mut Anatomy) {
        anatomy.hila.of_mut(self.side).size = self.size;
    }

    fn paint(&self, _: &Anatomy, grid: &Grid, layers: &mut Layers) {
        for (centre, axes) in self.lobules {
            ellipse(grid, centre, axes, |index, _, _, q| {
                layers.replace_air(index, 0.85 * bulge(1.2 * q));
            });
        }
    }

    fn mask(&self, _: &Anatomy, grid: &Grid) -> Mask {
        let mut mask = grid.empty_mask();
        for (centre, axes) in self.lobules {
            cover_ellipse(&mut mask, grid, centre, axes);
        }
        mask
    }
}
