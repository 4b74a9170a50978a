//! A kit for machines without a network: one tar file with the program, its plugins, libtorch and models, and a manifest with
//! the digest of every file.
//!
//! [`create()`] writes one, [`Kit`] reads one and finds whatever is missing, changed or too much in it, [`install()`] makes a folder
//! of one. A signature is of the manifest, which speaks for all else.

mod create;
mod install;
mod kit;
mod manifest;
mod sbom;
mod sources;

pub use create::create;
pub use install::install;
pub use kit::Kit;
pub use manifest::{Entry, Manifest};
pub use sources::{Sources, Wanted};
