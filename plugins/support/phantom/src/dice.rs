//! Seeded draws whose meaning does not depend on the version of a random-number crate: only raw ChaCha8
//! words are used, and the conversion to numbers is written here.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// What a stream of draws is for. Streams of one seed are independent, so adding a draw to one purpose
/// never shifts another.
#[derive(Clone, Copy)]
pub(crate) enum Purpose {
    Anatomy = 1,
    Vessels = 2,
    Film = 3,
    Findings = 4,
    Lesion = 5,
    Tiles = 6,
}

/// A seeded source of uniform draws.
pub(crate) struct Dice(ChaCha8Rng);

impl Dice {
    pub fn new(seed: u64, purpose: Purpose) -> Self {
        let mut key = [0u8; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        let mut rng = ChaCha8Rng::from_seed(key);
        rng.set_stream(purpose as u64);
        Dice(rng)
    }

    /// Uniform in `[0, 1)` on a grid of 2^-24, exact in `f32`.
    pub fn unit(&mut self) -> f32 {
        (self.0.next_u32() >> 8) as f32 / 16_777_216.0
    }

    /// Uniform in `[low, high)`.
    pub fn range(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// Triangular on `(-1, 1)`, most likely at 0: two uniforms, added.
    pub fn bell(&mut self) -> f32 {
        self.unit() + self.unit() - 1.0
    }

    /// Triangular between `low` and `high`.
    pub fn bell_range(&mut self, low: f32, high: f32) -> f32 {
        0.5 * (low + high) + 0.5 * (high - low) * self.bell()
    }

    /// True with probability `p`.
    pub fn chance(&mut self, p: f32) -> bool {
        self.unit() < p
    }

    /// Uniform index below `n`, which must be positive.
    pub fn index(&mut self, n: usize) -> usize {
        ((self.unit() * n as f32) as usize).min(n - 1)
    }

    /// A fresh seed.
    pub fn seed(&mut self) -> u64 {
        self.0.next_u64()
    }
}
