//! Shared by the integration tests.
#![allow(dead_code, reason = "each test binary uses its own part")]

use medfocus_phantom::{Finding, FindingInstance, Mask, Patient};

/// A patient with one finding.
pub fn pair(finding: Finding, seed: u64) -> (Patient, FindingInstance) {
    (
        Patient::sample(seed),
        FindingInstance::sample(finding, seed.wrapping_mul(31) + 7),
    )
}

/// Mean row and column of a mask.
pub fn centroid(mask: &Mask) -> (f64, f64) {
    let (mut rows, mut columns, mut n) = (0.0, 0.0, 0.0);
    for ((row, column), _) in mask.indexed_iter().filter(|(_, set)| **set) {
        rows += row as f64;
        columns += column as f64;
        n += 1.0;
    }
    (rows / n, columns / n)
}

/// Number of set pixels.
pub fn area(mask: &Mask) -> usize {
    mask.iter().filter(|set| **set).count()
}
