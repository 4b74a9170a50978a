//! Fixtures written by the reference implementation.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use medfocus_lvlm::network::Family;
use medfocus_lvlm::{Backend, Result};
use medfocus_plugin_api as api;
use medfocus_plugin_api::{GrayImage, Message, Services};
use medfocus_torch::checkpoint::Checkpoint;
use medfocus_torch::tch::{Device, Kind, Tensor};
use medfocus_torch::weights::Weights;
use ndarray::{Array2, ArrayD, Ix2};
use serde_json::Value;

/// Largest difference to the reference in f32 on the CPU.
pub const TOLERANCE: f64 = 2e-5;

/// The fixtures of a family: a folder for each case.
pub struct Fixtures<F: Family> {
    folder: &'static str,
    cases: &'static [&'static str],
    family: PhantomData<F>,
}

impl<F: Family> Fixtures<F> {
    /// Cases in this folder; the last is the smallest, with two decoder layers.
    pub const fn new(folder: &'static str, cases: &'static [&'static str]) -> Self {
        Self {
            folder,
            cases,
            family: PhantomData,
        }
    }

    /// The folder of a case.
    pub fn folder(&self, name: &str) -> PathBuf {
        Path::new(self.folder).join(name)
    }

    /// One case.
    pub fn load(&self, name: &'static str) -> Fixture<F> {
        let folder = self.folder(name);
        let facts = std::fs::read_to_string(folder.join("expected.json")).unwrap();
        Fixture {
            name,
            facts: serde_json::from_str(&facts).unwrap(),
            tensors: Tensor::read_safetensors(folder.join("expected.safetensors"))
                .unwrap()
                .into_iter()
                .collect(),
            folder,
            family: PhantomData,
        }
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = Fixture<F>> {
        self.cases.iter().map(|name| self.load(name))
    }

    /// The smallest.
    pub fn smallest(&self) -> Fixture<F> {
        self.load(self.cases[self.cases.len() - 1])
    }
}

/// One checkpoint and what the reference computes with it.
pub struct Fixture<F: Family> {
    pub name: &'static str,
    pub folder: PathBuf,
    pub facts: Value,
    tensors: HashMap<String, Tensor>,
    family: PhantomData<F>,
}

impl<F: Family> Fixture<F> {
    /// The backend in f32 with this batch limit.
    pub fn backend(&self, batch: usize) -> Backend<F> {
        Backend::from_folder(&self.folder, Device::Cpu, Kind::Float, batch).unwrap()
    }

    /// What `config.json` resolves to.
    pub fn config(&self) -> F::Config {
        F::config(&self.folder).unwrap()
    }

    /// The network in this format.
    pub fn network(&self, kind: Kind) -> F::Network {
        let weights = Weights::open(&self.folder, Device::Cpu, kind).unwrap();
        F::network(&self.config(), &weights).unwrap()
    }

    /// The checkpoint's tensors by name, in f32.
    pub fn weights(&self) -> HashMap<String, Tensor> {
        let checkpoint = Checkpoint::open(&self.folder).unwrap();
        let read = |name: &str| checkpoint.read(name).unwrap().to_kind(Kind::Float);
        checkpoint
            .names()
            .map(|name| (name.to_owned(), read(name)))
            .collect()
    }

    /// The network's pixels `[1, 3, height, width]` of an image.
    pub fn pixels(&self, index: usize) -> Tensor {
        let pixels = F::pixels(&self.folder, &self.config()).unwrap();
        pixels
            .pixels(self.image(index).view())
            .unwrap()
            .unsqueeze(0)
    }

    pub fn tensor(&self, name: &str) -> &Tensor {
        self.tensors
            .get(name)
            .unwrap_or_else(|| panic!("{} has no {name}", self.name))
    }

    pub fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Layer numbers `N` of the tensors called `{prefix}.N`.
    pub fn layers(&self, prefix: &str) -> Vec<i64> {
        let mut layers: Vec<i64> = self
            .tensors
            .keys()
            .filter_map(|name| name.strip_prefix(prefix)?.strip_prefix('.')?.parse().ok())
            .collect();
        layers.sort_unstable();
        layers
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

    pub fn images(&self) -> Vec<GrayImage> {
        (0..3).map(|index| self.image(index)).collect()
    }

    pub fn question(&self) -> &str {
        self.facts["question"].as_str().unwrap()
    }

    pub fn answer(&self, index: usize) -> Answer {
        let fact = &self.facts["answers"][index];
        let number = |key: &str| fact[key].as_u64().unwrap() as usize;
        Answer {
            text: fact["text"].as_str().unwrap().to_owned(),
            ids: ids(&fact["ids"]),
            start: number("start"),
            end: number("end"),
            turn_end: number("turn_end"),
        }
    }

    /// Fails unless the two agree within the tolerance; says by how much they do not.
    pub fn check(&self, name: &str, found: &Tensor, expected: &Tensor) {
        check_within(&format!("{} {name}", self.name), found, expected, TOLERANCE);
    }
}

/// A conversation as the reference reads it.
pub struct Answer {
    pub text: String,
    pub ids: Vec<i64>,
    pub start: usize,
    pub end: usize,
    pub turn_end: usize,
}

/// A host that fills no slot.
#[derive(Default)]
pub struct Host {
    pub cancelled: AtomicBool,
}

impl Services for &'static Host {
    fn progress(&self, done: u64, total: u64, _: &str) {
        assert!(done <= total);
    }

    fn cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    fn filled(&self, _: &str) -> bool {
        false
    }

    fn call(&self, slot: &str, _: &str, _: Message) -> api::Result<Message> {
        Err(api::Error::missing(format!("nothing fills `{slot}`")))
    }
}

pub fn host() -> &'static Host {
    Box::leak(Box::default())
}

pub fn ids(value: &Value) -> Vec<i64> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|id| id.as_i64().unwrap())
        .collect()
}

pub fn check_within(name: &str, found: &Tensor, expected: &Tensor, tolerance: f64) {
    assert_eq!(found.size(), expected.size(), "{name}: shape");
    let difference = largest_difference(found, expected);
    assert!(difference <= tolerance, "{name}: differs by {difference:e}");
    if std::env::var_os("SHOW_DIFFERENCES").is_some() {
        println!("{name}: {difference:e}");
    }
}

pub fn largest_difference(a: &Tensor, b: &Tensor) -> f64 {
    (a.to_kind(Kind::Double) - b.to_kind(Kind::Double))
        .abs()
        .max()
        .double_value(&[])
}

/// A tensor of the plugin interface as one of libtorch.
pub fn torch(tensor: &api::Tensor) -> Tensor {
    let array: ArrayD<f32> = tensor.view::<f32>().unwrap().to_owned();
    Tensor::try_from(array).unwrap()
}

pub fn matrix(tensor: &api::Tensor) -> Array2<f32> {
    tensor.view_nd::<f32, Ix2>().unwrap().to_owned()
}

/// Goes on with long work.
pub fn go_on(_: usize, _: usize) -> Result<()> {
    Ok(())
}
