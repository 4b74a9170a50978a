//! Generalised Sinkhorn iterations (Chizat, Peyré, Schmitzer and Vialard, Mathematics of Computation 87, 2018).

use medfocus_plugin_api::{Error, Result, choices};
use ndarray::{Array2, ArrayView2, Zip};

use super::{
    Measure, Plan, cost_percentile,
    kernel::{Convergence, Kernel, UNDERFLOW},
};

choices! {
    /// What the entropy of a plan is taken against.
    pub enum Entropy {
        /// The product of the marginals, eps KL(P || a x b), as the paper writes: the mass does not depend on the grid.
        Relative = "relative",
        /// The counting measure, as the published code has it: the mass grows with the number of cells.
        Counting = "counting",
    }
}

/// The problem that is solved, and how far.
///
/// Minimises, over plans P from a to b,
///
/// sum P C / s + eps H(P) + lambda KL(P 1 | a) + lambda KL(P^T 1 | b),
///
/// with C the squared distance of cells and s its 90th percentile over all pairs of the two supports.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sinkhorn {
    /// Weight of the entropy, in units of the scaled cost.
    pub eps: f64,
    /// Weight of the marginals.
    pub lambda: f64,
    /// What the entropy is taken against.
    pub entropy: Entropy,
    /// Stops when the source's scaling u changes by less, summed over its cells.
    pub tolerance: f64,
    /// Stops after so many iterations.
    pub iterations: u32,
}

/// The cost's percentile that it is divided by.
const SCALE: f64 = 0.9;

impl Sinkhorn {
    /// The plan between two measures on one grid.
    ///
    /// With f = lambda / (lambda + eps) an iteration is u = a' (1 / K v)^f, then v = b' (1 / K u)^f. For the relative
    /// entropy a' is a, so that u and v hold the product a x b that K is weighted with; for the counting one it is a^f.
    /// Then u and v are scaled against each other as is best for the dual (Séjourné, Vialard and Peyré, AISTATS 2022):
    /// the limit is the same, but reached without the slow drift of a small eps. A cell from which nothing is within
    /// reach of `f64` sends nothing.
    ///
    /// # Errors
    ///
    /// [`Error::invalid`] if the grids differ, eps or lambda is not positive, or eps is so small that no two cells
    /// are within reach.
    pub fn solve(&self, source: &Measure, target: &Measure) -> Result<Plan> {
        let (a, b) = (source.view(), target.view());
        if a.dim() != b.dim() {
            return Err(Error::invalid(format!(
                "measures on grids of {:?} and {:?} cells have no common cost",
                a.dim(),
                b.dim()
            )));
        }
        if !(self.eps > 0.0 && self.lambda > 0.0) {
            return Err(Error::invalid(format!(
                "transport needs a positive eps and lambda, got {} and {}",
                self.eps, self.lambda
            )));
        }
        let kernel = Kernel::new(a.dim(), self.eps * cost_scale(a, b));
        let power = self.lambda / (self.lambda + self.eps);
        let weights = |measure: ArrayView2<'_, f64>| match self.entropy {
            Entropy::Relative => measure.to_owned(),
            Entropy::Counting => measure.mapv(|mass| mass.powf(power)),
        };
        let (a, b) = (weights(a), weights(b));
        let (mut u, mut v) = (a.clone(), b.clone());
        let mut sums = Array2::zeros(a.dim());
        let mut before = u.clone();
        let mut convergence = Convergence {
            iterations: 0,
            change: f64::INFINITY,
            converged: false,
        };
        while convergence.iterations < self.iterations && !convergence.converged {
            before.assign(&u);
            kernel.apply(v.view(), &mut sums);
            let sent = update(&mut u, &a, &sums, power);
            kernel.apply(u.view(), &mut sums);
            let received = update(&mut v, &b, &sums, power);
            let balance = (sent / received).powf(0.5 * self.lambda / self.eps);
            u.mapv_inplace(|u| u * balance);
            v.mapv_inplace(|v| v / balance);
            let change = Zip::from(&u)
                .and(&before)
                .fold(0.0, |sum, u, before| sum + (u - before).abs());
            let finite = change.is_finite() && v.iter().all(|v| v.is_finite());
            if !(finite && sent > 0.0) {
                return Err(Error::invalid(format!(
                    "eps = {} is so small that the transport cannot be computed",
                    self.eps
                ))
                .with_hint("raise `eps`"));
            }
            convergence.iterations += 1;
            convergence.change = change;
            convergence.converged = change < self.tolerance;
        }
        Ok(Plan::new(kernel, u, v, convergence))
    }
}

/// The 90th percentile of the cost between two supports; 1 if that is 0, when no pair is apart.
fn cost_scale(a: ArrayView2<'_, f64>, b: ArrayView2<'_, f64>) -> f64 {
    let support = |measure: ArrayView2<'_, f64>| measure.mapv(|mass| mass > 0.0);
    cost_percentile(support(a).view(), support(b).view(), SCALE)
        .filter(|&scale| scale > 0.0)
        .unwrap_or(1.0)
}

/// Sets a scaling to weight (1 / sum)^power and returns the mass that it gives to the plan.
fn update(scaling: &mut Array2<f64>, weights: &Array2<f64>, sums: &Array2<f64>, power: f64) -> f64 {
    let mut mass = 0.0;
    Zip::from(scaling)
        .and(weights)
        .and(sums)
        .for_each(|scaling, &weight, &sum| {
            *scaling = if weight > 0.0 && sum > UNDERFLOW {
                // Half the time of `powf`.
                weight * (-power * sum.ln()).exp()
            } else {
                0.0
            };
            mass += *scaling * sum;
        });
    mass
}
