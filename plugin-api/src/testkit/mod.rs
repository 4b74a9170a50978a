//! For authors' tests: a host in a struct, toys whose every answer has a closed form, and a suite for each kind.
//!
//! Enable the feature `testkit` in `[dev-dependencies]`.

pub mod conformance;
mod host;
mod toy;
mod toys;

pub use host::LocalHost;
pub use toy::{ToyModel, toy_task};
pub use toys::{ToyDataset, ToyDetector, ToyEditor, ToySegmenter};
