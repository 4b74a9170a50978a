//! Unbalanced entropic optimal transport between two images on one grid, without ever forming a plan.
//!
//! The cost is the squared Euclidean distance of cells, so the Gibbs kernel is a product of one matrix for each axis,
//! K v = Gy V Gx, and everything wanted of a plan P = diag(u) K diag(v) (its cost, its mass, what it moves where) is a
//! few products of small matrices. All in `f64`; any grid that an image of 224 x 224 can be sampled on.

mod grid;
mod intensity;
mod kernel;
mod percentile;
mod sinkhorn;
mod smooth;
mod transfer;

pub use grid::{Measure, Sampling, Support, sample, sample_mask};
pub use intensity::Intensity;
pub use kernel::Convergence;
pub use percentile::cost_percentile;
pub use sinkhorn::{Entropy, Sinkhorn};
pub(crate) use smooth::{gauss, smooth};
pub use transfer::{Plan, heaviest};
