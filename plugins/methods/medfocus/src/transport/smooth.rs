//! Gaussian means on a grid, as products of small matrices.

use ndarray::{Array2, ArrayView2, linalg::general_mat_mul};

/// The weights of a Gaussian of this standard deviation about each cell along an axis; those of a row sum to 1.
pub fn gauss(cells: usize, deviation: f64) -> Array2<f64> {
    let mut weights = Array2::from_shape_fn((cells, cells), |(i, j)| {
        (-0.5 * (i.abs_diff(j) as f64 / deviation).powi(2)).exp()
    });
    for mut row in weights.rows_mut() {
        let sum = row.sum();
        row /= sum;
    }
    weights
}

/// The weighted mean about each cell of a square grid.
pub fn smooth(weights: &Array2<f64>, cells: ArrayView2<'_, f64>) -> Array2<f64> {
    let mut half = Array2::zeros(cells.dim());
    let mut means = Array2::zeros(cells.dim());
    general_mat_mul(1.0, weights, &cells, 0.0, &mut half);
    general_mat_mul(1.0, &half, &weights.t(), 0.0, &mut means);
    means
}
