//! The architecture's rules that a machine can check.

pub mod arrows;
pub mod libraries;
