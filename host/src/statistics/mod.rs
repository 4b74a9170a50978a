//! How sure a mean is, and whether two methods differ: the cluster bootstrap and Holm's correction.

mod bootstrap;
mod holm;

pub use bootstrap::{Bootstrap, Comparison, Summary};
pub use holm::holm;
