//! Random numbers that a seed alone determines.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Draws from the raw words of ChaCha8, which no version of a random-number crate changes.
pub struct Draws(ChaCha8Rng);

impl Draws {
    /// The draws of a seed; its streams are independent.
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        let mut words = ChaCha8Rng::from_seed(key);
        words.set_stream(stream);
        Self(words)
    }

    /// Uniform in [0, 1) on a grid of 2^-53.
    pub fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform below `n`, which is far below 2^32: the bias of at most n / 2^32 does not matter. 0 if `n` is.
    pub fn below(&mut self, n: u32) -> u32 {
        ((u64::from(self.0.next_u32()) * u64::from(n)) >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first key stream of draft-strombergson-chacha-test-vectors-01, TC1, 8 rounds: 3e00ef2f 895f40d6 7f5bb8e8 1f09a5a1.
    #[test]
    fn draws_are_the_words_of_chacha8() {
        let mut draws = Draws::new(0, 0);
        assert_eq!(draws.below(1 << 16), 0x2fef);
        assert_eq!(draws.below(10), 8);
        let word = 0xa1a5_091f_e8b8_5b7f_u64;
        assert_eq!(draws.unit(), (word >> 11) as f64 / 2f64.powi(53));
        assert_eq!(draws.below(0), 0);
        let first = |seed, stream| Draws::new(seed, stream).unit();
        assert_ne!(first(0, 0), first(0, 1));
        assert_ne!(first(0, 0), first(1, 0));
    }
}
