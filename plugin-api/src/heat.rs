//! Heat maps in the working frame.

use ndarray::{Array2, ArrayBase, ArrayView2, Data, Ix2};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use crate::{
    error::{Error, Result},
    frame::WORKING_SIDE,
    tensor::Tensor,
};

/// How strongly each pixel of the working image counts: 224 x 224, f32, finite, not negative.
///
/// A map of zeros says that the method found no evidence.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct HeatMap(Tensor);

impl HeatMap {
    /// A map of the values as they are.
    ///
    /// # Errors
    ///
    /// [`Error::invalid`] if the shape is not 224 x 224 or a value is negative or not finite.
    pub fn from_array(values: ArrayBase<impl Data<Elem = f32>, Ix2>) -> Result<Self> {
        let values = values.into_owned();
        Self::from_tensor(Tensor::from_array(values))
    }

    /// The map of a (gh, gw) grid of cells: bilinear to the working image (pixel centres aligned,
    /// edges replicated), then [normalised](normalise); a constant grid becomes zeros.
    ///
    /// # Errors
    ///
    /// [`Error::invalid`] if the grid is empty or a value is not finite.
    pub fn from_grid(grid: ArrayView2<'_, f32>) -> Result<Self> {
        if grid.is_empty() {
            return Err(Error::invalid("a heat map cannot be made of an empty grid"));
        }
        let side = WORKING_SIDE as usize;
        let mut values = upsample(grid, side, side);
        normalise(&mut values);
        Self::from_array(values)
    }

    fn from_tensor(values: Tensor) -> Result<Self> {
        let view = values.view_nd::<f32, Ix2>()?;
        let side = WORKING_SIDE as usize;
        if view.dim() != (side, side) {
            return Err(Error::invalid(format!(
                "a heat map has {side} x {side} values, got {:?}",
                view.dim()
            )));
        }
        if !view.iter().all(|v| v.is_finite() && *v >= 0.0) {
            return Err(Error::invalid(
                "a heat map holds a negative or non-finite value",
            ));
        }
        Ok(Self(values))
    }

    /// Rows x columns of the working image.
    pub fn view(&self) -> ArrayView2<'_, f32> {
        self.0
            .view_nd::<f32, Ix2>()
            .expect("the constructor checked type and rank")
    }

    /// Whether the method found no evidence at all.
    pub fn is_zero(&self) -> bool {
        self.view().iter().all(|&v| v == 0.0)
    }
}

impl<'de> Deserialize<'de> for HeatMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_tensor(Tensor::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// Min-max normalisation in place, `(h - min) / (max - min + 1e-8)` of values divided by the largest magnitude among them:
/// a faint map, as of an answer that is certain, becomes as clear as a strong one. Equal values become zeros.
pub fn normalise(values: &mut Array2<f32>) {
    let (min, max) = values
        .iter()
        .fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &v| {
            (low.min(v), high.max(v))
        });
    // The division cancels from the quotient but for the 1e-8.
    let span = max - min + 1e-8 * max.abs().max(min.abs());
    values.mapv_inplace(|v| match v - min {
        0.0 => 0.0,
        above => above / span,
    });
}

/// Bilinear interpolation with pixel centres aligned (`align_corners = false`), edges replicated.
pub fn upsample(grid: ArrayView2<'_, f32>, height: usize, width: usize) -> Array2<f32> {
    let taps = |cells: usize, size: usize| -> Vec<(usize, usize, f32)> {
        (0..size)
            .map(|i| {
                let at = ((i as f32 + 0.5) * cells as f32 / size as f32 - 0.5).max(0.0);
                let low = (at as usize).min(cells - 1);
                (low, (low + 1).min(cells - 1), at - low as f32)
            })
            .collect()
    };
    let rows = taps(grid.nrows(), height);
    let columns = taps(grid.ncols(), width);
    // In this form a constant grid stays exactly constant; normalisation would blow up any residue.
    let between = |low: f32, high: f32, share: f32| low + (high - low) * share;
    Array2::from_shape_fn((height, width), |(y, x)| {
        let ((y0, y1, fy), (x0, x1, fx)) = (rows[y], columns[x]);
        let top = between(grid[(y0, x0)], grid[(y0, x1)], fx);
        let bottom = between(grid[(y1, x0)], grid[(y1, x1)], fx);
        between(top, bottom, fy)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn upsampling_aligns_pixel_centres() {
        // Torch: interpolate([[0, 1]], size=(1, 4), mode="bilinear", align_corners=False).
        let up = upsample(array![[0.0, 1.0]].view(), 1, 4);
        assert_eq!(up, array![[0.0, 0.25, 0.75, 1.0]]);
        assert_eq!(
            upsample(array![[3.0]].view(), 2, 2),
            array![[3.0, 3.0], [3.0, 3.0]]
        );
    }

    #[test]
    fn a_constant_grid_is_no_evidence() {
        let flat = HeatMap::from_grid(Array2::from_elem((4, 9), 0.7).view()).unwrap();
        assert!(flat.is_zero());
        let peak = HeatMap::from_grid(array![[0.0, 2.0], [1.0, 0.0]].view()).unwrap();
        assert!((peak.view()[(0, 223)] - 1.0).abs() < 1e-6);
    }

    #[test]
    fn a_faint_grid_is_as_clear_as_a_strong_one() {
        let strong = HeatMap::from_grid(array![[0.25, 0.5], [0.125, 1.0]].view()).unwrap();
        assert_eq!(strong.view()[(0, 0)], (0.25 - 0.125) / 0.875);
        for scale in [2f32.powi(-40), 2f32.powi(-90), 2f32.powi(60)] {
            let grid = array![[0.25, 0.5], [0.125, 1.0]].mapv(|v: f32| v * scale);
            let scaled = HeatMap::from_grid(grid.view()).unwrap();
            assert_eq!(scaled.view(), strong.view(), "{scale}");
        }
        let none = HeatMap::from_grid(Array2::zeros((2, 2)).view()).unwrap();
        assert!(none.is_zero());
        // What is not negative after all: -3, -2, -1.
        let mut below = array![[-3.0, -2.0, -1.0]];
        normalise(&mut below);
        assert_eq!(below, array![[0.0, 0.5, 1.0]]);
    }

    #[test]
    fn bad_values_are_refused() {
        let side = WORKING_SIDE as usize;
        assert!(HeatMap::from_array(Array2::from_elem((side, side), f32::NAN)).is_err());
        assert!(HeatMap::from_array(Array2::from_elem((side, side), -1.0)).is_err());
        assert!(HeatMap::from_array(Array2::zeros((side, 10))).is_err());
        for bad in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
            assert!(HeatMap::from_grid(array![[bad, 0.0]].view()).is_err());
            assert!(HeatMap::from_grid(array![[bad]].view()).is_err());
        }
    }
}
