//! The fixtures in `tests/fixtures/medsam`, written by the reference implementation.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use medfocus_plugin_api::{BBox, GrayImage, Working};
use medfocus_torch::tch::{Device, Kind, Tensor};
use medfocus_vision_medsam::Sam;
use medfocus_vision_medsam::processor::Processor;
use ndarray::Array2;
use serde_json::Value;

/// Largest difference to the reference in f32 on the CPU.
pub const TOLERANCE: f64 = 1e-4;

pub const CASES: [&str; 2] = ["hub", "saved"];
/// Letterboxed, tall, black.
pub const IMAGES: usize = 3;

/// One checkpoint and what the reference computes with it.
pub struct Fixture {
    pub name: &'static str,
    facts: Value,
    tensors: HashMap<String, Tensor>,
}

pub fn folder(name: &str) -> PathBuf {
    [
        env!("CARGO_MANIFEST_DIR"),
        "../../../tests/fixtures/medsam",
        name,
    ]
    .iter()
    .collect()
}

impl Fixture {
    pub fn load(name: &'static str) -> Self {
        let folder = folder(name);
        let facts = std::fs::read_to_string(folder.join("expected.json")).unwrap();
        Self {
            name,
            facts: serde_json::from_str(&facts).unwrap(),
            tensors: Tensor::read_safetensors(folder.join("expected.safetensors"))
                .unwrap()
                .into_iter()
                .collect(),
        }
    }

    pub fn all() -> impl Iterator<Item = Self> {
        CASES.into_iter().map(Self::load)
    }

    pub fn sam(&self) -> Sam {
        Sam::from_folder(&folder(self.name), Device::Cpu, Kind::Float).unwrap()
    }

    pub fn processor(&self) -> Processor {
        let side = self.sam().config().vision.image_size;
        Processor::from_folder(&folder(self.name), side).unwrap()
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

    fn fact(&self, index: usize, key: &str) -> &Vec<Value> {
        self.facts["images"][index][key].as_array().unwrap()
    }

    /// The prompts of an image.
    pub fn boxes(&self, index: usize) -> Vec<BBox<Working>> {
        let boxes = self.fact(index, "boxes").iter();
        boxes.map(|value| read_box(value).unwrap()).collect()
    }

    /// The tight box of the region of each prompt.
    pub fn found(&self, index: usize) -> Vec<Option<BBox<Working>>> {
        self.fact(index, "found").iter().map(read_box).collect()
    }

    /// The mask that the reference chooses for each prompt.
    pub fn best(&self, index: usize) -> Vec<i64> {
        let best = self.fact(index, "best").iter();
        best.map(|value| value.as_i64().unwrap()).collect()
    }

    /// The region of a prompt.
    pub fn mask(&self, index: usize, prompt: usize) -> Array2<bool> {
        let packed = self.tensor(&format!("mask.{index}.{prompt}"));
        let (height, bytes) = packed.size2().unwrap();
        let packed = Vec::<u8>::try_from(packed.flatten(0, -1)).unwrap();
        let width = self.image(index).width() as usize;
        Array2::from_shape_fn((height as usize, width), |(y, x)| {
            packed[y * bytes as usize + x / 8] >> (7 - x % 8) & 1 == 1
        })
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

fn read_box(value: &Value) -> Option<BBox<Working>> {
    let corners: Option<[u32; 4]> = serde_json::from_value(value.clone()).unwrap();
    corners.map(|[x1, y1, x2, y2]| BBox::new(x1, y1, x2, y2).unwrap())
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
    for file in [
        "config.json",
        "preprocessor_config.json",
        "model.safetensors",
    ] {
        std::fs::copy(folder(name).join(file), copy.path().join(file)).unwrap();
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
