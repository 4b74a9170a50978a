//! The fixtures in `tests/fixtures/gemma3`, written by the reference implementation.

#![allow(dead_code, reason = "each test binary uses its own part")]

pub mod random;

use std::path::PathBuf;

use medfocus_lvlm_parity::Fixtures;
use medfocus_model_gemma3::Family;

pub const CASES: [&str; 3] = ["hub", "saved", "small"];

pub const FIXTURES: Fixtures<Family> = Fixtures::new(
    concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../tests/fixtures/gemma3"
    ),
    &CASES,
);

pub fn folder(name: &str) -> PathBuf {
    FIXTURES.folder(name)
}
