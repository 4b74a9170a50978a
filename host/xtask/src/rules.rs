//! The architecture's rules that a machine can check.

pub mod arrows;
#[cfg(test)]
mod circles;
pub mod libraries;
pub mod published;
#[cfg(test)]
mod surface;
