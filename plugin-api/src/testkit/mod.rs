//! For authors' tests: a host in a struct and models whose every answer has a closed form.
//!
//! Enable the feature `testkit` in `[dev-dependencies]`.

mod host;
mod toy;

pub use host::LocalHost;
pub use toy::{ToyModel, toy_task};
