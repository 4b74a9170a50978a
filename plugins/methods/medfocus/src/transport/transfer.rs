//! What a plan says, read of its two scalings.

use ndarray::{Array2, ArrayView2, Zip};

use super::kernel::{Convergence, Kernel, UNDERFLOW};

/// A plan P = diag(u) K diag(v) from a source to a target on one grid; never formed.
#[derive(Clone, Debug)]
pub struct Plan {
    kernel: Kernel,
    u: Array2<f64>,
    v: Array2<f64>,
    /// How the iterations ended.
    pub convergence: Convergence,
}

impl Plan {
    pub(super) fn new(
        kernel: Kernel,
        u: Array2<f64>,
        v: Array2<f64>,
        convergence: Convergence,
    ) -> Self {
        Self {
            kernel,
            u,
            v,
            convergence,
        }
    }

    /// Rows and columns of the grid.
    pub fn dim(&self) -> (usize, usize) {
        self.u.dim()
    }

    /// The source's and the target's scaling.
    pub fn scalings(&self) -> (ArrayView2<'_, f64>, ArrayView2<'_, f64>) {
        (self.u.view(), self.v.view())
    }

    /// eps times the 90th percentile of the cost: the kernel is exp(-C / width), C in squared cells.
    pub fn width(&self) -> f64 {
        self.kernel.width()
    }

    /// The sum of P: the mass transported.
    pub fn mass(&self) -> f64 {
        self.arriving().sum()
    }

    /// The sum of P C, C in squared cells.
    pub fn cost(&self) -> f64 {
        (&self.u * &self.kernel.costs(self.v.view())).sum()
    }

    /// The mass that arrives at each target cell.
    pub fn arriving(&self) -> Array2<f64> {
        self.kernel_sum(self.u.view()) * &self.v
    }

    /// The mass that arrives at each target cell from a part of the source, given each source cell's share in it:
    /// v (K^T (u m)). Nothing of an empty part.
    ///
    /// # Panics
    ///
    /// If the shares lie on another grid, as in [`Plan::barycentric`].
    pub fn transfer(&self, shares: ArrayView2<'_, f64>) -> Array2<f64> {
        self.kernel_sum((&self.u * &shares).view()) * &self.v
    }

    /// The mean of a function of the source over what arrives at each target cell: of a mask the share that comes from
    /// it, of a coordinate the barycentric map. Where the target has no mass the mean over what would arrive, and where
    /// no source is in reach the function's value at the same place.
    pub fn barycentric(&self, values: ArrayView2<'_, f64>) -> Array2<f64> {
        let mut means = self.kernel_sum((&self.u * &values).view());
        Zip::from(&mut means)
            .and(&self.kernel_sum(self.u.view()))
            .and(values)
            .for_each(|mean, &all, &here| *mean = if all > UNDERFLOW { *mean / all } else { here });
        means
    }

    fn kernel_sum(&self, scaling: ArrayView2<'_, f64>) -> Array2<f64> {
        let mut sums = Array2::zeros(scaling.dim());
        self.kernel.apply(scaling, &mut sums);
        sums
    }
}

/// The fewest cells, heaviest first, that hold this fraction of all mass; of equals the first in reading order. None
/// if there is no mass.
pub fn heaviest(mass: ArrayView2<'_, f64>, fraction: f64) -> Array2<bool> {
    let mut cells: Vec<_> = mass.indexed_iter().filter(|(_, m)| **m > 0.0).collect();
    cells.sort_by(|a, b| b.1.total_cmp(a.1));
    let wanted = fraction * cells.iter().map(|(_, m)| **m).sum::<f64>();
    let mut kept = Array2::from_elem(mass.dim(), false);
    let mut held = 0.0;
    for (cell, mass) in cells {
        if held >= wanted {
            break;
        }
        kept[cell] = true;
        held += mass;
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn the_heaviest_cells_come_first() {
        let mass = array![[0.1, 0.4], [0.3, 0.2]];
        assert_eq!(
            heaviest(mass.view(), 0.75),
            array![[false, true], [true, true]]
        );
        assert_eq!(
            heaviest(mass.view(), 0.7),
            array![[false, true], [true, false]]
        );
        assert_eq!(heaviest(mass.view(), 0.0).iter().filter(|k| **k).count(), 0);
        assert!(heaviest(mass.view(), 1.0).iter().all(|k| *k));
        let equal = array![[0.25, 0.25], [0.25, 0.25]];
        assert_eq!(
            heaviest(equal.view(), 0.5),
            array![[true, true], [false, false]]
        );
        let none = heaviest(Array2::zeros((2, 2)).view(), 0.75);
        assert!(none.iter().all(|kept| !kept));
    }
}
