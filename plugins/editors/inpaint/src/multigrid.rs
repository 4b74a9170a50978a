//! Conjugate gradients for networks of resistors, preconditioned by a multigrid cycle.

use crate::network::Network;

/// More iterations than any network needs: about six do.
const ITERATIONS: u32 = 100;

/// Piecewise constants are stiffer than the potentials they stand for, so that corrections come out too small (Braess,
/// 1995). As the coarser grids are visited twice, any factor below 2 leaves the cycle positive definite.
const OVERCORRECTION: f64 = 1.6;

/// The potentials that drive these currents out of a network's cells, to about `tolerance`; nothing if rounding keeps
/// them from it. Parts that hang together must be grounded; a cell without conductances has the potential 0.
///
/// The number of iterations does not grow with the grid: conjugate gradients are preconditioned by multigrid (Tatebe,
/// 1993) with aggregates of 2 x 2 cells (Braess, 1995).
pub fn solve(network: Network, currents: Vec<f64>, tolerance: f64) -> Option<Vec<f64>> {
    let mut levels = levels(network);
    let mut solution = levels[0].network.zeros();
    let mut direction = solution.clone();
    let mut driven = solution.clone();
    levels[0].currents = currents;
    let mut before = f64::INFINITY;
    for _ in 0..ITERATIONS {
        levels[0].potentials.fill(0.0);
        cycle(&mut levels);
        let fine = &mut levels[0];
        // What the cycle makes of the remaining currents is close to what the solution still lacks.
        if fine.potentials.iter().all(|lack| lack.abs() < tolerance) {
            add(&mut solution, 1.0, &fine.potentials);
            return Some(solution);
        }
        let now = dot(&fine.currents, &fine.potentials);
        let share = now / before;
        for (direction, lack) in direction.iter_mut().zip(&fine.potentials) {
            *direction = lack + share * *direction;
        }
        fine.drive(&direction, &mut driven);
        let step = now / dot(&direction, &driven);
        add(&mut solution, step, &direction);
        add(&mut fine.currents, -step, &driven);
        before = now;
    }
    None
}

/// One grid of the cycle.
struct Level {
    network: Network,
    diagonal: Vec<f64>,
    /// One over the diagonal; 0 for a cell without conductances.
    inverse: Vec<f64>,
    /// The currents b of A x = b.
    currents: Vec<f64>,
    /// The potentials x.
    potentials: Vec<f64>,
}

/// The network, the next coarser one, and so on to a single cell.
fn levels(network: Network) -> Vec<Level> {
    let mut levels = Vec::new();
    let mut next = Some(network);
    while let Some(network) = next {
        next = (!network.is_single()).then(|| network.coarser());
        levels.push(Level::new(network));
    }
    levels
}

/// A W cycle: symmetric, because it relaxes backwards in the end. A step at a single cell solves it.
fn cycle(levels: &mut [Level]) {
    let Some((fine, coarser)) = levels.split_first_mut() else {
        return;
    };
    fine.relax_forwards();
    if let Some(coarse) = coarser.first_mut() {
        fine.restrict(coarse);
        cycle(coarser);
        cycle(coarser);
        fine.correct(&coarser[0]);
    }
    fine.relax_backwards();
}

impl Level {
    fn new(network: Network) -> Self {
        let diagonal = network.diagonal();
        let invert = |&total: &f64| if total > 0.0 { total.recip() } else { 0.0 };
        Self {
            inverse: diagonal.iter().map(invert).collect(),
            diagonal,
            currents: network.zeros(),
            potentials: network.zeros(),
            network,
        }
    }

    /// A Gauss-Seidel step at each cell of a row, from the left or from the right.
    fn relax(&mut self, cells: impl Iterator<Item = usize>) {
        for i in cells {
            let inflow = self.network.inflow(&self.potentials, i);
            self.potentials[i] = self.inverse[i] * (self.currents[i] + inflow);
        }
    }

    fn relax_forwards(&mut self) {
        for cells in self.network.rows() {
            self.relax(cells);
        }
    }

    fn relax_backwards(&mut self) {
        for cells in self.network.rows().rev() {
            self.relax(cells.rev());
        }
    }

    /// A x.
    fn drive(&self, x: &[f64], driven: &mut [f64]) {
        for cells in self.network.rows() {
            for i in cells {
                driven[i] = self.diagonal[i] * x[i] - self.network.inflow(x, i);
            }
        }
    }

    /// Hands the currents that are left down to a coarser grid.
    fn restrict(&self, coarse: &mut Self) {
        coarse.currents.fill(0.0);
        coarse.potentials.fill(0.0);
        let x = &self.potentials;
        for (row, cells) in self.network.rows().enumerate() {
            let first = coarse.network.place(row / 2, 0);
            for (column, i) in cells.enumerate() {
                let driven = self.diagonal[i] * x[i] - self.network.inflow(x, i);
                coarse.currents[first + column / 2] += self.currents[i] - driven;
            }
        }
    }

    /// Adds a coarser grid's potentials.
    fn correct(&mut self, coarse: &Self) {
        for (row, cells) in self.network.rows().enumerate() {
            let first = coarse.network.place(row / 2, 0);
            for (column, i) in cells.enumerate() {
                self.potentials[i] += OVERCORRECTION * coarse.potentials[first + column / 2];
            }
        }
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Adds a multiple of b to a.
fn add(a: &mut [f64], factor: f64, b: &[f64]) {
    for (a, b) in a.iter_mut().zip(b) {
        *a += factor * b;
    }
}
