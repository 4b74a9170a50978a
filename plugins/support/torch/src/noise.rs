//! Noise in the place of a parameter, for sanity checks that an explanation depends on the weights.
//!
//! The draws of a tensor follow from the seed and the tensor's name alone. Neither the order of
//! loading nor what else is replaced changes them, and libtorch's own generator is left alone.

use std::f64::consts::TAU;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use tch::{Kind, Tensor};

use crate::Result;

/// Which parameters are replaced, and the seed of what replaces them.
#[derive(Debug)]
pub(crate) struct Noise {
    pub prefixes: Vec<String>,
    pub seed: u64,
}

impl Noise {
    pub fn replaces(&self, name: &str) -> bool {
        self.prefixes.iter().any(|prefix| name.starts_with(prefix))
    }

    /// Gaussian noise with the shape, mean and (population) standard deviation of this tensor, f32
    /// on the CPU.
    pub fn like(&self, name: &str, tensor: &Tensor) -> Result<Tensor> {
        let values = tensor.f_to_kind(Kind::Double)?;
        let mean = values.f_mean(Kind::Double)?.f_double_value(&[])?;
        let deviation = values.f_std(false)?.f_double_value(&[])?;
        let mut rng = self.stream(name);
        let noise: Vec<f32> = (0..tensor.numel())
            .map(|_| (mean + deviation * normal(&mut rng)) as f32)
            .collect();
        Ok(Tensor::f_from_slice(&noise)?.f_reshape(tensor.size())?)
    }

    fn stream(&self, name: &str) -> ChaCha8Rng {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.seed.to_le_bytes());
        hasher.update(name.as_bytes());
        ChaCha8Rng::from_seed(*hasher.finalize().as_bytes())
    }
}

/// One draw of the standard normal distribution (Box and Muller 1958).
fn normal(rng: &mut ChaCha8Rng) -> f64 {
    // Multiples of 2⁻⁵³: the first in (0, 1], since its logarithm is taken, the second in [0, 1).
    let mut uniform = |offset| ((rng.next_u64() >> 11) + offset) as f64 * f64::EPSILON / 2.0;
    let (radius, angle) = (uniform(1), uniform(0));
    (-2.0 * radius.ln()).sqrt() * (TAU * angle).cos()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    fn noise(seed: u64) -> Noise {
        Noise {
            prefixes: vec!["a.".to_owned()],
            seed,
        }
    }

    #[test]
    fn it_has_the_mean_and_deviation_of_what_it_replaces() {
        let [low, high] =
            [1.0, 5.0].map(|value| Tensor::full([20_000], value, (Kind::Float, Device::Cpu)));
        let tensor = Tensor::cat(&[low, high], 0).reshape([200, 200]);
        let found = noise(0).like("a.w", &tensor).unwrap();
        assert_eq!(found.size(), [200, 200]);
        assert!((found.mean(Kind::Double).double_value(&[]) - 3.0).abs() < 0.05);
        assert!((found.std(false).double_value(&[]) - 2.0).abs() < 0.05);
        // A normal distribution, not the two values it came from: a third lies beyond one deviation.
        let beyond = (&found - 3.0)
            .abs()
            .gt(2.0)
            .to_kind(Kind::Double)
            .mean(Kind::Double);
        assert!((beyond.double_value(&[]) - 0.317).abs() < 0.02);
    }

    #[test]
    fn it_follows_from_seed_and_name() {
        let tensor = Tensor::arange(64, (Kind::Float, Device::Cpu));
        let drawn = |seed, name| noise(seed).like(name, &tensor).unwrap();
        assert_eq!(drawn(1, "a.w"), drawn(1, "a.w"));
        assert_ne!(drawn(1, "a.w"), drawn(2, "a.w"));
        assert_ne!(drawn(1, "a.w"), drawn(1, "a.v"));
    }

    #[test]
    fn a_constant_stays_and_a_single_number_too() {
        for size in [1, 7] {
            let constant = Tensor::full([size], 0.5, (Kind::BFloat16, Device::Cpu));
            let found = noise(0).like("a.w", &constant).unwrap();
            assert_eq!(found, constant.to_kind(Kind::Float));
        }
    }
}
