//! Checkpoints of the networks and what the reference computes with them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use medfocus_torch::tch::{Kind, Tensor};
use serde_json::{Map, Value};
use tempfile::TempDir;

/// Largest difference to the reference in f32 on the CPU, relative to numbers above 1.
pub const TOLERANCE: f64 = 1e-4;

/// The folder of a fixture.
pub fn folder(name: &str) -> PathBuf {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/fixtures");
    fixtures.join("radedit_networks").join(name)
}

/// What the reference computes with one checkpoint.
pub struct Reference {
    pub name: &'static str,
    pub facts: Value,
    tensors: HashMap<String, Tensor>,
}

impl Reference {
    pub fn of(name: &'static str) -> Self {
        let folder = folder(name);
        Self {
            name,
            facts: read_json(&folder.join("expected.json")),
            tensors: read_tensors(&folder.join("expected.safetensors")),
        }
    }

    pub fn tensor(&self, name: &str) -> &Tensor {
        let missing = || panic!("{} has no {name}", self.name);
        self.tensors.get(name).unwrap_or_else(missing)
    }

    /// Fails unless what was found is what the reference has under this name; says by how much it is not.
    pub fn check(&self, name: &str, found: &Tensor) {
        let expected = self.tensor(name);
        assert_eq!(found.size(), expected.size(), "{} {name}: shape", self.name);
        let difference = largest_difference(found, expected);
        assert!(
            difference <= TOLERANCE,
            "{} {name}: differs by {difference:e}",
            self.name
        );
        if std::env::var_os("SHOW_DIFFERENCES").is_some() {
            println!("{} {name}: {difference:e}", self.name);
        }
    }
}

/// Relative to the expected number where that is above 1. Not a number is infinitely far.
pub fn largest_difference(found: &Tensor, expected: &Tensor) -> f64 {
    let expected = expected.to_kind(Kind::Double);
    let difference =
        (found.to_kind(Kind::Double) - &expected).abs() / expected.abs().clamp_min(1.0);
    let largest = difference.max().double_value(&[]);
    if largest.is_nan() {
        f64::INFINITY
    } else {
        largest
    }
}

pub fn read_json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn read_tensors(path: &Path) -> HashMap<String, Tensor> {
    let tensors = Tensor::read_safetensors(path).unwrap();
    tensors.into_iter().collect()
}

/// A copy of a checkpoint folder that a test may spoil.
pub fn copy(name: &str) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in folder(name).read_dir().unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
    }
    copy
}

/// Rewrites a file of weights.
pub fn edit_weights(path: &Path, edit: impl FnOnce(&mut HashMap<String, Tensor>)) {
    let mut tensors = read_tensors(path);
    edit(&mut tensors);
    let tensors: Vec<(String, Tensor)> = tensors.into_iter().collect();
    Tensor::write_safetensors(&tensors, path).unwrap();
}

/// The text of a fixture's configuration with some keys changed.
pub fn edited_config(name: &str, changes: &Value) -> String {
    let mut config = read_json(&folder(name).join("config.json"));
    let keys: &mut Map<String, Value> = config.as_object_mut().unwrap();
    keys.extend(changes.as_object().unwrap().clone());
    config.to_string()
}
