//! Random masks that keep some of the working image and hide the rest.

use medfocus_attribution::Draws;
use medfocus_plugin_api::{WORKING_SIDE, choices, heat};
use ndarray::{Array2, s};

use crate::Cells;

choices! {
    /// How random cells become a mask.
    pub enum MaskKind {
        /// Each cell is kept or hidden whole, as the published code does.
        Cells = "cells",
        /// A grid of cells smoothed bilinearly and shifted at random (Petsiuk et al., BMVC 2018).
        Petsiuk = "petsiuk",
    }
}

/// A sequence of random masks. Mask m depends on the settings and m alone, so that none need be kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Masks {
    /// How cells become a mask.
    pub kind: MaskKind,
    /// Cells along each side: 1 to 224.
    pub cells: u32,
    /// Probability that a cell is kept.
    pub keep: f64,
    /// For every random choice.
    pub seed: u64,
}

impl Masks {
    /// What mask `m` keeps of each pixel: (224, 224), 0 hidden to 1 kept.
    pub fn mask(&self, m: usize) -> Array2<f32> {
        let (grid, mut draws) = self.draw(m);
        match self.kind {
            MaskKind::Cells => Cells::new(self.cells).paint(grid.view()),
            MaskKind::Petsiuk => {
                // One cell more than fits, so that any shift by less than a cell stays inside.
                let (side, working) = (self.cells as usize, WORKING_SIDE as usize);
                let cell = working.div_ceil(side);
                let large = heat::upsample(grid.view(), (side + 1) * cell, (side + 1) * cell);
                let [y, x] = [(); 2].map(|()| (draws.unit() * cell as f64) as usize);
                large.slice_move(s![y..y + working, x..x + working])
            }
        }
    }

    /// The cells that mask `m` is made of: (cells, cells), 0 hidden or 1 kept.
    pub fn grid(&self, m: usize) -> Array2<f32> {
        self.draw(m).0
    }

    /// The cells, and the draws after theirs.
    fn draw(&self, m: usize) -> (Array2<f32>, Draws) {
        let mut draws = Draws::new(self.seed, m as u64);
        let side = self.cells as usize;
        let grid = Array2::from_shape_simple_fn((side, side), || {
            if draws.unit() < self.keep { 1.0 } else { 0.0 }
        });
        (grid, draws)
    }
}
