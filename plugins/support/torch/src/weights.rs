//! A model's parameters by name, wherever they come from.
//!
//! A model's constructor asks for each parameter by name and shape. The same constructor therefore
//! builds a model from a checkpoint folder, from tensors that a trainer holds, and, with a
//! [blueprint](Weights::blueprint), lists what it needs without any weights at all.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use tch::{Device, Kind, Tensor};

use crate::checkpoint::Checkpoint;
use crate::noise::Noise;
use crate::shared::Shared;
use crate::{Error, Result};

/// Parameters by name.
#[derive(Debug)]
pub struct Weights {
    source: Source,
    noise: Option<Noise>,
    taken: RefCell<BTreeSet<String>>,
}

#[derive(Debug)]
enum Source {
    Folder(Checkpoint, Device, Kind, Arc<Shared>),
    Memory(HashMap<String, Tensor>),
    Blueprint(RefCell<BTreeMap<String, Vec<i64>>>),
    Outline(Checkpoint, Device, Kind, RefCell<Vec<Error>>),
}

impl Weights {
    /// Reads each tensor from a Hugging Face folder when it is asked for, onto `device` in `kind`; those that
    /// [`share`](Self::share) keeps of the same files are not read again.
    pub fn open(folder: &Path, device: Device, kind: Kind) -> Result<Self> {
        let checkpoint = Checkpoint::open(folder)?;
        let shared = Shared::of(checkpoint.identities(), device, kind);
        Ok(Self::new(Source::Folder(checkpoint, device, kind, shared)))
    }

    /// Keeps, as long as this is held, what was read of a folder for other models of the process; nothing if it is no folder.
    pub fn share(&self) -> Option<Arc<Shared>> {
        match &self.source {
            Source::Folder(.., shared) => Some(shared.clone()),
            _ => None,
        }
    }

    /// Hands out these very tensors, so that gradients of the model reach them.
    pub fn from_tensors(tensors: HashMap<String, Tensor>) -> Self {
        Self::new(Source::Memory(tensors))
    }

    /// Records what is asked for and answers with zeros that take no memory.
    pub fn blueprint() -> Self {
        Self::new(Source::Blueprint(RefCell::default()))
    }

    /// Looks at the headers of a folder alone, and answers with zeros that take no memory, as if on `device` in `kind`. What is missing or has another shape
    /// or format is collected for [`faults`](Self::faults) instead of refused, so that all of it can be told at once.
    pub fn outline(folder: &Path, device: Device, kind: Kind) -> Result<Self> {
        Ok(Self::new(Source::Outline(
            Checkpoint::open(folder)?,
            device,
            kind,
            RefCell::default(),
        )))
    }

    /// Replaces every parameter whose name begins with one of these by Gaussian noise with the
    /// parameter's own mean and standard deviation, each drawn from this seed and its name.
    #[must_use]
    pub fn randomised(self, prefixes: Vec<String>, seed: u64) -> Self {
        Self {
            noise: Some(Noise { prefixes, seed }),
            ..self
        }
    }

    fn new(source: Source) -> Self {
        Self {
            source,
            noise: None,
            taken: RefCell::default(),
        }
    }

    /// Whether a tensor of this name can be had. A blueprint holds none.
    pub fn contains(&self, name: &str) -> bool {
        match &self.source {
            Source::Folder(checkpoint, ..) | Source::Outline(checkpoint, ..) => {
                checkpoint.contains(name)
            }
            Source::Memory(tensors) => tensors.contains_key(name),
            Source::Blueprint(_) => false,
        }
    }

    /// Whether the two are one tensor, number by number; false if one is not there.
    pub fn same(&self, one: &str, other: &str) -> bool {
        match &self.source {
            Source::Folder(checkpoint, ..) | Source::Outline(checkpoint, ..) => {
                checkpoint.same(one, other)
            }
            Source::Memory(tensors) => {
                tensors.get(one).is_some() && tensors.get(one) == tensors.get(other)
            }
            Source::Blueprint(_) => false,
        }
    }

    /// Whether these weights only record what a model asks for.
    pub fn is_blueprint(&self) -> bool {
        matches!(self.source, Source::Blueprint(_))
    }

    /// The parameter `name` of exactly this shape.
    pub fn get(&self, name: &str, shape: &[i64]) -> Result<Tensor> {
        let tensor = match &self.source {
            Source::Folder(checkpoint, device, kind, shared) => {
                shared.get(name, checkpoint, *device, *kind)?
            }
            Source::Memory(tensors) => match tensors.get(name) {
                Some(tensor) => tensor.shallow_clone(),
                None => {
                    return Err(Error::MissingTensor {
                        name: name.to_owned(),
                        origin: self.origin(),
                    });
                }
            },
            Source::Blueprint(wanted) => {
                wanted.borrow_mut().insert(name.to_owned(), shape.to_vec());
                stand_in(shape, Device::Cpu, Kind::Float)?
            }
            Source::Outline(checkpoint, device, kind, faults) => {
                match checkpoint.shape(name) {
                    Ok(found) if found == shape => {}
                    Ok(found) => faults.borrow_mut().push(Error::Shape {
                        name: name.to_owned(),
                        origin: self.origin(),
                        found,
                        expected: shape.to_vec(),
                    }),
                    Err(error) => faults.borrow_mut().push(error),
                }
                stand_in(shape, *device, *kind)?
            }
        };
        let found = tensor.size();
        if found != shape {
            return Err(Error::Shape {
                name: name.to_owned(),
                origin: self.origin(),
                found,
                expected: shape.to_vec(),
            });
        }
        self.taken.borrow_mut().insert(name.to_owned());
        match &self.noise {
            Some(noise) if noise.replaces(name) && self.holds_numbers() => Ok(noise
                .like(name, &tensor)?
                .f_to_kind(tensor.f_kind()?)?
                .f_to_device(tensor.device())?),
            _ => Ok(tensor),
        }
    }

    fn holds_numbers(&self) -> bool {
        matches!(self.source, Source::Folder(..) | Source::Memory(_))
    }

    /// What an [outline](Self::outline) found wrong so far with the tensors that were asked for.
    pub fn faults(&self) -> Vec<Error> {
        match &self.source {
            Source::Outline(.., faults) => faults.take(),
            _ => Vec::new(),
        }
    }

    /// Names that are there and were never asked for, sorted.
    pub fn unused(&self) -> Vec<String> {
        let taken = self.taken.borrow();
        let mut names: Vec<String> = match &self.source {
            Source::Folder(checkpoint, ..) | Source::Outline(checkpoint, ..) => {
                checkpoint.names().map(str::to_owned).collect()
            }
            Source::Memory(tensors) => tensors.keys().cloned().collect(),
            Source::Blueprint(_) => Vec::new(),
        };
        names.retain(|name| !taken.contains(name));
        names.sort();
        names
    }

    /// Refuses tensors that were never asked for, unless they are `known` not to matter: they mean that the configuration
    /// describes another model.
    pub fn check_unused(&self, known: impl Fn(&str) -> bool) -> Result<()> {
        let mut unused = self.unused();
        unused.retain(|name| !known(name));
        match unused.first() {
            None => Ok(()),
            Some(first) => Err(Error::Checkpoint(format!(
                "{} of the tensors in {} have no place in the network that config.json describes, the first is {first}",
                unused.len(),
                self.origin()
            ))),
        }
    }

    /// Name and shape of everything asked for so far, if these weights are a blueprint.
    pub fn wanted(&self) -> BTreeMap<String, Vec<i64>> {
        match &self.source {
            Source::Blueprint(wanted) => wanted.borrow().clone(),
            _ => BTreeMap::new(),
        }
    }

    /// Where the weights come from, for messages.
    pub fn origin(&self) -> String {
        match &self.source {
            Source::Folder(checkpoint, ..) | Source::Outline(checkpoint, ..) => {
                checkpoint.folder().display().to_string()
            }
            Source::Memory(_) => "the given tensors".to_owned(),
            Source::Blueprint(_) => "the blueprint".to_owned(),
        }
    }
}

/// Zeros of this shape that take no memory.
fn stand_in(shape: &[i64], device: Device, kind: Kind) -> Result<Tensor> {
    Ok(Tensor::f_zeros([0; 0], (kind, device))?.f_expand(shape, false)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::tensor::TensorView;
    use std::time::{Duration, SystemTime};

    fn memory(names: &[&str]) -> Weights {
        Weights::from_tensors(
            names
                .iter()
                .map(|name| {
                    (
                        name.to_string(),
                        Tensor::zeros([2, 3], (Kind::Float, Device::Cpu)),
                    )
                })
                .collect(),
        )
    }

    #[test]
    fn a_missing_or_misshaped_tensor_is_named() {
        let weights = memory(&["a"]);
        let missing = weights.get("b", &[2, 3]).unwrap_err().to_string();
        assert!(missing.contains("tensor b is missing"), "{missing}");
        let misshaped = weights.get("a", &[3, 2]).unwrap_err().to_string();
        assert!(
            misshaped.contains("tensor a") && misshaped.contains("[2, 3]"),
            "{misshaped}"
        );
    }

    #[test]
    fn models_of_one_folder_share_its_parameters() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let write = |value: f32, since: u64| {
            let bytes: Vec<u8> = [value; 4].iter().flat_map(|v| v.to_le_bytes()).collect();
            let view = TensorView::new(safetensors::Dtype::F32, vec![4], &bytes).unwrap();
            std::fs::write(&path, safetensors::serialize([("a", view)], None).unwrap()).unwrap();
            // Its entry changes now, whatever its content claims.
            let file = std::fs::File::options().write(true).open(&path).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(since))
                .unwrap();
        };
        let open = || Weights::open(folder.path(), Device::Cpu, Kind::Float).unwrap();
        let get = |weights: &Weights| weights.get("a", &[4]).unwrap();
        write(1.0, 60);
        let young = [open(), open()].map(|weights| get(&weights).data_ptr());
        assert_ne!(
            young[0], young[1],
            "files that may still change are not shared"
        );
        std::thread::sleep(Duration::from_secs(4));

        let first = open();
        let (kept, tensor) = (first.share().unwrap(), get(&first));
        drop(first);
        let again = get(&open());
        assert_eq!(again.data_ptr(), tensor.data_ptr());
        let other = Weights::open(folder.path(), Device::Cpu, Kind::Double).unwrap();
        assert_ne!(
            get(&other).data_ptr(),
            tensor.data_ptr(),
            "another number format"
        );
        write(2.0, 120);
        assert_eq!(
            get(&open()).double_value(&[0]),
            2.0,
            "another file in its place"
        );
        assert_eq!(tensor.double_value(&[0]), 1.0);
        drop((kept, again));
    }

    #[test]
    fn what_was_not_asked_for_is_listed() {
        let weights = memory(&["a", "c", "b"]);
        let _b = weights.get("b", &[2, 3]).unwrap();
        assert_eq!(weights.unused(), ["a", "c"]);
        let left = weights.check_unused(|name| name == "a").unwrap_err();
        assert!(left.to_string().contains("1 of the tensors"), "{left}");
        weights.check_unused(|name| name != "b").unwrap();
    }

    #[test]
    fn gradients_reach_the_given_tensors() {
        let leaf = Tensor::ones([2], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let weights =
            Weights::from_tensors(HashMap::from([("w".to_owned(), leaf.shallow_clone())]));
        let got = weights.get("w", &[2]).unwrap();
        (got * 3.0).sum(Kind::Float).backward();
        assert_eq!(Vec::<f32>::try_from(leaf.grad()).unwrap(), [3.0, 3.0]);
    }

    #[test]
    fn noise_replaces_what_is_named_and_nothing_else() {
        let names = ["layers.1.w", "layers.10.w", "layers.2.w"];
        let tensors = || {
            names.map(|name| {
                (
                    name.to_owned(),
                    Tensor::arange(6, (Kind::BFloat16, Device::Cpu)),
                )
            })
        };
        let drawn = |prefixes: &[&str], order: [usize; 3]| {
            let prefixes = prefixes.iter().map(|&prefix| prefix.to_owned()).collect();
            let weights = Weights::from_tensors(HashMap::from(tensors())).randomised(prefixes, 5);
            let mut found = order.map(|at| (at, weights.get(names[at], &[6]).unwrap()));
            found.sort_by_key(|(at, _)| *at);
            found.map(|(_, tensor)| tensor)
        };
        let [one, ten, two] = drawn(&["layers.1."], [0, 1, 2]);
        let plain = &tensors()[0].1;
        assert!(&one != plain && &ten == plain && &two == plain);
        assert_eq!(one.kind(), Kind::BFloat16);
        let [same, _, other] = drawn(&["layers.2.", "layers.1."], [2, 1, 0]);
        assert_eq!(one, same);
        assert!(&other != plain && other != same);
    }

    #[test]
    fn a_blueprint_records_shapes_without_memory() {
        let weights = Weights::blueprint();
        let huge = weights.get("w", &[1 << 20, 1 << 20]).unwrap();
        assert_eq!(huge.size(), [1 << 20, 1 << 20]);
        assert_eq!(weights.get("number", &[]).unwrap().size(), [0; 0]);
        assert_eq!(weights.wanted()["w"], [1 << 20, 1 << 20]);
    }
}
