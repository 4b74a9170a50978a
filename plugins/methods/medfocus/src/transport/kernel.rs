//! The kernel of the iterations, and how they ended.

use ndarray::{Array2, ArrayView2, linalg::general_mat_mul};

/// How the iterations ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Convergence {
    /// Iterations made.
    pub iterations: u32,
    /// The last change of u, summed over its cells.
    pub change: f64,
    /// Whether that is below the tolerance.
    pub converged: bool,
}

/// Kernel sums below are nothing: their reciprocals overflow.
pub(super) const UNDERFLOW: f64 = 1e-300;

/// exp(-C / width) on a grid, as its two factors. Symmetric.
#[derive(Clone, Debug)]
pub(super) struct Kernel {
    width: f64,
    rows: Array2<f64>,
    columns: Array2<f64>,
}

impl Kernel {
    pub(super) fn new((rows, columns): (usize, usize), width: f64) -> Self {
        let gauss = |cells: usize| {
            Array2::from_shape_fn((cells, cells), |at| (-squared_distance(at) / width).exp())
        };
        Self {
            width,
            rows: gauss(rows),
            columns: gauss(columns),
        }
    }

    /// K v.
    pub(super) fn apply(&self, v: ArrayView2<'_, f64>, sums: &mut Array2<f64>) {
        product(&self.rows, v, &self.columns, sums);
    }

    /// (K C) v, with the product of K and C cell by cell: the cost of what each cell sends.
    pub(super) fn costs(&self, v: ArrayView2<'_, f64>) -> Array2<f64> {
        let weighted = |factor: &Array2<f64>| {
            Array2::from_shape_fn(factor.dim(), |at| factor[at] * squared_distance(at))
        };
        let mut down = Array2::zeros(v.dim());
        let mut across = Array2::zeros(v.dim());
        product(&weighted(&self.rows), v, &self.columns, &mut down);
        product(&self.rows, v, &weighted(&self.columns), &mut across);
        down + across
    }

    /// eps times the cost's scale.
    pub(super) fn width(&self) -> f64 {
        self.width
    }
}

fn product(
    left: &Array2<f64>,
    v: ArrayView2<'_, f64>,
    right: &Array2<f64>,
    into: &mut Array2<f64>,
) {
    let mut half = Array2::zeros(v.dim());
    general_mat_mul(1.0, left, &v, 0.0, &mut half);
    general_mat_mul(1.0, &half, right, 0.0, into);
}

fn squared_distance((i, j): (usize, usize)) -> f64 {
    (i.abs_diff(j) as f64).powi(2)
}
