//! The fixtures in `tests/fixtures/radedit`, written by the reference implementations.

#![allow(
    dead_code,
    unused_imports,
    reason = "each test binary uses its own part"
)]

#[path = "../networks/reference.rs"]
mod reference;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use medfocus_torch::tch::Tensor;
use tempfile::TempDir;

pub use reference::{edit_weights, largest_difference, read_json};

/// Largest difference to the reference in f32 on the CPU, relative to numbers above 1.
pub const TOLERANCE: f64 = 1e-3;

/// A folder or file of the fixtures.
pub fn fixture(name: &str) -> PathBuf {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/fixtures");
    fixtures.join("radedit").join(name)
}

/// The tensors of a file of the fixtures.
pub struct Tensors(HashMap<String, Tensor>);

impl Tensors {
    pub fn of(name: &str) -> Self {
        let tensors = Tensor::read_safetensors(fixture(name)).unwrap();
        Self(tensors.into_iter().collect())
    }

    pub fn get(&self, name: &str) -> &Tensor {
        let missing = || panic!("there is no {name}");
        self.0.get(name).unwrap_or_else(missing)
    }
}

/// Fails unless the two agree within the tolerance; says by how much they do not.
pub fn check(name: &str, found: &Tensor, expected: &Tensor, tolerance: f64) {
    assert_eq!(found.size(), expected.size(), "{name}: shape");
    let difference = largest_difference(found, expected);
    assert!(difference <= tolerance, "{name}: differs by {difference:e}");
    if std::env::var_os("SHOW_DIFFERENCES").is_some() {
        println!("{name}: {difference:e}");
    }
}

/// A copy of a folder of the fixtures, with those below it, that a test may spoil.
pub fn copy(name: &str) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    copy_into(&fixture(name), copy.path());
    copy
}

fn copy_into(from: &Path, to: &Path) {
    for entry in from.read_dir().unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy_into(&path, &target);
        } else {
            std::fs::copy(&path, target).unwrap();
        }
    }
}
