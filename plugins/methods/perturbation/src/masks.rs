//! Random masks that keep some of the working image and hide the rest.

use medfocus_plugin_api::{WORKING_SIDE, choices, heat};
use ndarray::{Array2, s};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

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
        let (grid, mut random) = self.draw(m);
        match self.kind {
            MaskKind::Cells => Cells::new(self.cells).paint(grid.view()),
            MaskKind::Petsiuk => {
                // One cell more than fits, so that any shift by less than a cell stays inside.
                let (side, working) = (self.cells as usize, WORKING_SIDE as usize);
                let cell = working.div_ceil(side);
                let large = heat::upsample(grid.view(), (side + 1) * cell, (side + 1) * cell);
                let [y, x] = [(); 2].map(|()| (unit(&mut random) * cell as f64) as usize);
                large.slice_move(s![y..y + working, x..x + working])
            }
        }
    }

    /// The cells that mask `m` is made of: (cells, cells), 0 hidden or 1 kept.
    pub fn grid(&self, m: usize) -> Array2<f32> {
        self.draw(m).0
    }

    /// The cells, and where their random numbers go on.
    fn draw(&self, m: usize) -> (Array2<f32>, ChaCha8Rng) {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&self.seed.to_le_bytes());
        // Streams of one key are independent.
        let mut random = ChaCha8Rng::from_seed(key);
        random.set_stream(m as u64);
        let side = self.cells as usize;
        let grid = Array2::from_shape_simple_fn((side, side), || {
            if unit(&mut random) < self.keep {
                1.0
            } else {
                0.0
            }
        });
        (grid, random)
    }
}

/// Uniform in [0, 1) on a grid of 2^-53. Made of raw words, whose meaning no version of a crate changes.
fn unit(random: &mut ChaCha8Rng) -> f64 {
    (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}
