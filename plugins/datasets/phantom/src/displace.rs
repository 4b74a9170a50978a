//! Patients who stand elsewhere: moved, and nearer to the film or farther from it.

use ndarray::{Array2, ArrayView2};

/// A zoom about the middle of the film, then a shift.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Displacement {
    zoom: f64,
    /// Down and to the right, in pixels.
    shift: [f64; 2],
}

impl Displacement {
    /// A patient's own, uniform up to `shift`, in pixels each way, and up to `zoom`, a share of the patient's size.
    pub fn of(patient: u64, shift: f64, zoom: f64) -> Self {
        let hash = blake3::hash(&patient.to_le_bytes());
        let part = |at: usize| {
            let bytes = [hash.as_bytes()[at], hash.as_bytes()[at + 1]];
            f64::from(u16::from_le_bytes(bytes)) / f64::from(u16::MAX) * 2.0 - 1.0
        };
        Self {
            zoom: 1.0 + zoom * part(0),
            shift: [shift * part(2), shift * part(4)],
        }
    }

    /// The image displaced, linearly interpolated; black where the film ended.
    pub fn image(&self, image: ArrayView2<'_, u8>) -> Array2<u8> {
        let (height, width) = image.dim();
        Array2::from_shape_fn(image.dim(), |(row, column)| {
            let y = self.from(row, height, 0);
            let x = self.from(column, width, 1);
            let mut grey = 0.0;
            for (at_y, near_y) in neighbours(y) {
                for (at_x, near_x) in neighbours(x) {
                    let inside = at_y >= 0.0 && at_x >= 0.0;
                    let pixel = image.get((at_y as usize, at_x as usize));
                    grey += near_y * near_x * f64::from(*pixel.filter(|_| inside).unwrap_or(&0));
                }
            }
            grey.round() as u8
        })
    }

    /// A mask displaced, of the nearest pixels.
    pub fn mask(&self, mask: ArrayView2<'_, bool>) -> Array2<bool> {
        let (height, width) = mask.dim();
        Array2::from_shape_fn(mask.dim(), |(row, column)| {
            let y = self.from(row, height, 0).round();
            let x = self.from(column, width, 1).round();
            let inside = y >= 0.0 && x >= 0.0;
            inside && mask.get((y as usize, x as usize)) == Some(&true)
        })
    }

    /// Where along an axis a pixel comes from.
    fn from(&self, at: usize, length: usize, axis: usize) -> f64 {
        let middle = 0.5 * (length as f64 - 1.0);
        (at as f64 - middle - self.shift[axis]) / self.zoom + middle
    }
}

/// The whole numbers on both sides, with their weights.
fn neighbours(at: f64) -> [(f64, f64); 2] {
    let below = at.floor();
    [(below, below + 1.0 - at), (below + 1.0, at - below)]
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::*;

    #[test]
    fn nothing_moves_by_nothing() {
        let image = Array2::from_shape_fn((9, 7), |(y, x)| (20 * y + x) as u8);
        let still = Displacement::of(5, 0.0, 0.0);
        assert_eq!(still.image(image.view()), image);
        let mask = image.mapv(|pixel| pixel % 3 == 0);
        assert_eq!(still.mask(mask.view()), mask);
    }

    #[test]
    fn a_shift_moves_and_a_zoom_spreads() {
        let moved = Displacement {
            zoom: 1.0,
            shift: [1.0, -0.5],
        };
        let image = array![[10, 20, 40], [50, 60, 80]];
        assert_eq!(moved.image(image.view()), array![[0, 0, 0], [15, 30, 20]]);
        let near = Displacement {
            zoom: 3.0,
            shift: [0.0, 0.0],
        };
        let line = array![[false, true, true, false, false]];
        assert_eq!(
            near.mask(line.view()),
            array![[true, true, true, true, false]]
        );
    }

    #[test]
    fn patients_stand_anywhere_within_the_limits() {
        let all: Vec<_> = (0..500)
            .map(|seed| Displacement::of(seed, 16.0, 0.15))
            .collect();
        let extremes = |of: fn(&Displacement) -> f64| {
            let values = all.iter().map(of);
            let low = values.clone().fold(f64::INFINITY, f64::min);
            (low, values.fold(f64::NEG_INFINITY, f64::max))
        };
        for (of, middle, reach) in [
            ((|d| d.zoom) as fn(&Displacement) -> f64, 1.0, 0.15),
            (|d| d.shift[0], 0.0, 16.0),
            (|d| d.shift[1], 0.0, 16.0),
        ] {
            let (low, high) = extremes(of);
            assert!(
                middle - reach <= low && low < middle - 0.95 * reach,
                "{low}"
            );
            assert!(
                middle + 0.95 * reach < high && high <= middle + reach,
                "{high}"
            );
        }
    }
}
