//! The fixtures in `tests/fixtures/owlvit`, written by the reference implementation.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use medfocus_plugin_api::GrayImage;
use medfocus_torch::tch::{Device, Kind, Tensor};
use medfocus_vision_owlvit::OwlVit;
use medfocus_vision_owlvit::config::Config;
use medfocus_vision_owlvit::processor::Processor;
use medfocus_vision_owlvit::tokenizer::Phrases;
use ndarray::Array2;
use serde::Deserialize;

/// Largest difference to the reference in f32 on the CPU.
pub const TOLERANCE: f64 = 2e-5;

pub const CASES: [&str; 2] = ["hub", "saved"];
/// Letterboxed, tall, black.
pub const IMAGES: usize = 3;
/// The first phrases, which are looked for in every image.
pub const SOUGHT: usize = 4;

/// One checkpoint and what the reference computes with it.
pub struct Fixture {
    pub name: &'static str,
    pub facts: Facts,
    tensors: HashMap<String, Tensor>,
}

#[derive(Deserialize)]
pub struct Facts {
    pub phrases: Vec<PhraseFacts>,
    /// For each image and phrase.
    pub found: Vec<Vec<Vec<Found>>>,
}

/// A phrase, its tokens, and those left when the reference is told to truncate.
#[derive(Deserialize)]
pub struct PhraseFacts {
    pub text: String,
    pub ids: Vec<i64>,
    pub cut: Vec<i64>,
}

/// A detection as the published code passes it on.
#[derive(Deserialize)]
pub struct Found {
    #[serde(rename = "box")]
    pub corners: [u32; 4],
    pub score: f64,
}

pub fn folder(name: &str) -> PathBuf {
    let root = env!("CARGO_MANIFEST_DIR");
    [root, "../../../tests/fixtures/owlvit", name]
        .iter()
        .collect()
}

impl Fixture {
    pub fn load(name: &'static str) -> Self {
        let folder = folder(name);
        let facts = std::fs::read_to_string(folder.join("expected.json")).unwrap();
        let tensors = Tensor::read_safetensors(folder.join("expected.safetensors")).unwrap();
        Self {
            name,
            facts: serde_json::from_str(&facts).unwrap(),
            tensors: tensors.into_iter().collect(),
        }
    }

    pub fn all() -> impl Iterator<Item = Self> {
        CASES.into_iter().map(Self::load)
    }

    pub fn owl(&self, kind: Kind) -> OwlVit {
        OwlVit::from_folder(&folder(self.name), Device::Cpu, kind).unwrap()
    }

    pub fn config(&self) -> Config {
        Config::from_folder(&folder(self.name)).unwrap()
    }

    pub fn processor(&self) -> Processor {
        Processor::from_folder(&folder(self.name), self.config().vision.image_size).unwrap()
    }

    pub fn tokenizer(&self) -> Phrases {
        Phrases::from_folder(&folder(self.name), &self.config().text).unwrap()
    }

    pub fn tensor(&self, name: &str) -> &Tensor {
        self.tensors
            .get(name)
            .unwrap_or_else(|| panic!("{} has no {name}", self.name))
    }

    pub fn image(&self, index: usize) -> GrayImage {
        let tensor = self.tensor(&format!("image.{index}"));
        let (height, width) = tensor.size2().unwrap();
        let bytes = Vec::<u8>::try_from(tensor.flatten(0, -1)).unwrap();
        GrayImage::from_array(
            Array2::from_shape_vec((height as usize, width as usize), bytes).unwrap(),
        )
        .unwrap()
    }

    /// The phrases that are looked for.
    pub fn sought(&self) -> Vec<String> {
        let sought = self.facts.phrases[..SOUGHT].iter();
        sought.map(|phrase| phrase.text.clone()).collect()
    }

    /// Fails unless the two agree within the tolerance; says by how much they do not.
    pub fn check(&self, name: &str, found: &Tensor, expected: &Tensor) {
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

pub fn largest_difference(a: &Tensor, b: &Tensor) -> f64 {
    (a.to_kind(Kind::Double) - b.to_kind(Kind::Double))
        .abs()
        .max()
        .double_value(&[])
}

/// A copy of a checkpoint folder that a test may spoil.
pub fn copy(name: &str) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(folder(name)).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    copy
}

/// Rewrites the weights of a folder.
pub fn edit_weights(folder: &Path, edit: impl FnOnce(&mut HashMap<String, Tensor>)) {
    let path = folder.join("model.safetensors");
    let mut tensors: HashMap<String, Tensor> = Tensor::read_safetensors(&path)
        .unwrap()
        .into_iter()
        .collect();
    edit(&mut tensors);
    let tensors: Vec<(String, Tensor)> = tensors.into_iter().collect();
    Tensor::write_safetensors(&tensors, path).unwrap();
}
