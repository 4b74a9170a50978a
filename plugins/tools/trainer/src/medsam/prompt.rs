//! Boxes as they come: near what is meant, and seldom tight.
//!
//! The errors are those of concepts that transport carries over from other patients: a few pixels whatever the size,
//! which is little for a lung and half a clavicle, more along the patient than across.

use medfocus_phantom::PixelBox;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::film::WORKING_SIDE;

/// Pixels by which a box is off as a whole, down and across: deviations at full strength.
const OFF: [f64; 2] = [9.0, 6.0];
/// Pixels, and share of the side, by which each edge is off: deviations at full strength.
const EDGE: (f64, f64) = (3.0, 0.06);
/// Sides are not shortened below this, pixels.
const SHORTEST: f64 = 6.0;

/// How far a box is off, from 0 for a tight one to 1.
#[derive(Clone, Copy, Debug)]
pub struct Jitter(pub f64);

impl Jitter {
    /// One in five is tight; the others are off by any strength.
    pub fn draw(rng: &mut ChaCha8Rng) -> Jitter {
        Jitter(if rng.random_bool(0.2) {
            0.0
        } else {
            rng.random()
        })
    }

    /// A box that is off, inside the image.
    pub fn apply(self, tight: PixelBox, rng: &mut ChaCha8Rng) -> PixelBox {
        let mut span = |low: usize, high: usize, off: f64| {
            if self.0 == 0.0 {
                return (low, high);
            }
            let side = (high - low) as f64;
            let off = self.0 * off * normal(rng);
            let mut edge = |at: usize| {
                let error = self.0 * (EDGE.0 + EDGE.1 * side) * normal(rng);
                at as f64 + off + error
            };
            let (a, b) = (edge(low), edge(high));
            let (middle, half) = ((a + b) / 2.0, ((b - a).max(SHORTEST)) / 2.0);
            let low = (middle - half)
                .round()
                .clamp(0.0, WORKING_SIDE as f64 - SHORTEST);
            let high = (middle + half)
                .round()
                .clamp(low + SHORTEST, WORKING_SIDE as f64);
            (low as usize, high as usize)
        };
        let (y1, y2) = span(tight.y1, tight.y2, OFF[0]);
        let (x1, x2) = span(tight.x1, tight.x2, OFF[1]);
        PixelBox { x1, y1, x2, y2 }
    }
}

/// About normal: the sum of twelve uniform numbers.
fn normal(rng: &mut ChaCha8Rng) -> f64 {
    (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn boxes_stay_in_the_image_and_grow_worse() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let tight = PixelBox {
            x1: 200,
            y1: 2,
            x2: 224,
            y2: 5,
        };
        assert_eq!(Jitter(0.0).apply(tight, &mut rng), tight);
        let mut error = |strength| {
            (0..500)
                .map(|_| {
                    let off = Jitter(strength).apply(tight, &mut rng);
                    assert!(off.x1 < off.x2 && off.x2 <= WORKING_SIDE);
                    assert!(off.y1 < off.y2 && off.y2 <= WORKING_SIDE);
                    off.x1.abs_diff(tight.x1)
                })
                .sum::<usize>()
        };
        assert!(error(1.0) > 2 * error(0.3));
    }
}
