//! Other placements and exposures than the phantom draws.

use ndarray::Array2;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::film::WORKING_SIDE;

/// The patient nearer or farther and off the centre; black beyond the film.
pub struct Placement {
    zoom: f64,
    shift: [f64; 2],
}

impl Placement {
    /// Up to a seventh nearer or farther, and up to 16 pixels off.
    pub fn draw(rng: &mut ChaCha8Rng) -> Placement {
        Placement {
            zoom: rng.random_range(0.85..1.15),
            shift: [0; 2].map(|_| rng.random_range(-16.0..16.0)),
        }
    }

    /// Moves an image or a mask; each pixel is the nearest of the original.
    pub fn apply<T: Copy + Default>(&self, pixels: &Array2<T>) -> Array2<T> {
        let middle = (WORKING_SIDE - 1) as f64 / 2.0;
        let from = |at: usize, axis: usize| {
            let from = (at as f64 - middle - self.shift[axis]) / self.zoom + middle;
            (from.round() >= 0.0).then_some(from.round() as usize)
        };
        Array2::from_shape_fn(pixels.dim(), |(y, x)| {
            let from = from(y, 0).zip(from(x, 1));
            from.and_then(|at| pixels.get(at))
                .copied()
                .unwrap_or_default()
        })
    }
}

/// Another exposure: a power law, then a line.
pub fn expose(image: &mut Array2<u8>, rng: &mut ChaCha8Rng) {
    let gamma = rng.random_range(-0.4..0.4f64).exp();
    let (gain, offset) = (rng.random_range(0.7..1.15), rng.random_range(-0.08..0.08));
    let levels: [u8; 256] = std::array::from_fn(|level| {
        let value = (level as f64 / 255.0).powf(gamma) * gain + offset;
        (255.0 * value).round() as u8
    });
    // What is black, such as the padding, stays so.
    image.mapv_inplace(|level| {
        if level == 0 {
            0
        } else {
            levels[usize::from(level)]
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_placement_moves_towards_its_shift() {
        let place = Placement {
            zoom: 1.0,
            shift: [3.0, -2.0],
        };
        let mut image = Array2::<u8>::zeros((WORKING_SIDE, WORKING_SIDE));
        image[(100, 100)] = 7;
        let moved = place.apply(&image);
        assert_eq!(moved[(103, 98)], 7);
        assert_eq!(moved.iter().filter(|&&level| level > 0).count(), 1);
    }
}
