//! Hugging Face checkpoint folders: memory-mapped safetensors, one tensor read at a time.
//!
//! A folder holds either one `model.safetensors`, or `model.safetensors.index.json` whose
//! `weight_map` names the shard of each tensor; of both the first counts, as in transformers. The networks of diffusers are called
//! `diffusion_pytorch_model` instead, and may be there in f16 alone. Nothing is copied until a tensor is asked for, so
//! a checkpoint larger than memory can be moved to a device.

#![allow(unsafe_code, reason = "weights are read from memory maps")]

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use medfocus_plugin_api::file;
use memmap2::{Mmap, UncheckedAdvice};
use safetensors::tensor::Metadata;
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use tch::{Kind, Tensor};

use crate::identity::Identity;
use crate::{Error, Result, folder};

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// The file or the index of a network, by who saves it: transformers, diffusers, diffusers in f16. The first that is there is read.
const NAMES: [(&str, &str); 3] = [
    (SINGLE, INDEX),
    (
        "diffusion_pytorch_model.safetensors",
        "diffusion_pytorch_model.safetensors.index.json",
    ),
    (
        "diffusion_pytorch_model.fp16.safetensors",
        "diffusion_pytorch_model.safetensors.index.fp16.json",
    ),
];

/// An open checkpoint folder.
#[derive(Debug)]
pub struct Checkpoint {
    folder: PathBuf,
    shards: Vec<Shard>,
    /// Tensor name to its shard.
    shard_of: HashMap<String, usize>,
}

#[derive(Debug)]
struct Shard {
    path: PathBuf,
    identity: Identity,
    bytes: Mmap,
    metadata: Metadata,
    /// Where the tensors begin: after the length field and the header.
    data_start: usize,
}

#[derive(Deserialize)]
struct Index {
    weight_map: HashMap<String, String>,
}

impl Checkpoint {
    /// Opens every shard of the folder and checks the headers against the file sizes.
    pub fn open(folder: &Path) -> Result<Self> {
        for (single_name, index_name) in NAMES {
            let (single, index) = (folder.join(single_name), folder.join(index_name));
            if single.exists() {
                if index.exists() {
                    tracing::warn!(
                        "{} holds {single_name} and {index_name}: the first is read; delete the one that is out of date",
                        folder.display()
                    );
                }
                return Self::open_single(folder, single);
            }
            if index.exists() {
                return Self::open_sharded(folder, &index);
            }
        }
        Err(Error::File {
            path: folder.to_owned(),
            reason: folder::instead(folder).unwrap_or_else(|| {
                format!(
                    "it holds neither {SINGLE} nor {INDEX}; give the folder of a Hugging Face checkpoint"
                )
            }),
        })
    }

    fn open_single(folder: &Path, path: PathBuf) -> Result<Self> {
        let shard = Shard::open(path)?;
        let shard_of = shard
            .metadata
            .tensors()
            .into_keys()
            .map(|name| (name, 0))
            .collect();
        Ok(Self {
            folder: folder.to_owned(),
            shards: vec![shard],
            shard_of,
        })
    }

    fn open_sharded(folder: &Path, index: &Path) -> Result<Self> {
        let text = file::read_to_string(index).map_err(|error| Error::unreadable(index, error))?;
        let malformed = |reason: String| Error::File {
            path: index.to_owned(),
            reason,
        };
        let Index { weight_map } =
            serde_json::from_str(&text).map_err(|error| malformed(error.to_string()))?;

        let names: BTreeSet<&String> = weight_map.values().collect();
        // The index is outside input: a shard must be a file of this folder, not a path out of it.
        if let Some(name) = names.iter().find(|name| name.contains(['/', '\\'])) {
            return Err(malformed(format!(
                "the shard name {name:?} leaves the folder"
            )));
        }
        let missing: Vec<&str> = names
            .iter()
            .filter(|name| !folder.join(name.as_str()).exists())
            .map(|name| name.as_str())
            .collect();
        if !missing.is_empty() {
            return Err(malformed(format!(
                "{} of the {} files that it names are missing: {}; download them again",
                missing.len(),
                names.len(),
                missing.join(", ")
            )));
        }
        let number: HashMap<&String, usize> = names
            .iter()
            .enumerate()
            .map(|(at, name)| (*name, at))
            .collect();
        let shards = names
            .iter()
            .map(|name| Shard::open(folder.join(name)))
            .collect::<Result<Vec<_>>>()?;
        for (tensor, file) in &weight_map {
            if shards[number[file]].metadata.info(tensor).is_none() {
                return Err(malformed(format!(
                    "it says that {file} holds {tensor}, which is not there"
                )));
            }
        }
        let shard_of = weight_map
            .iter()
            .map(|(tensor, file)| (tensor.clone(), number[file]))
            .collect();
        Ok(Self {
            folder: folder.to_owned(),
            shards,
            shard_of,
        })
    }

    /// The folder as it was given.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The files that hold its tensors.
    pub fn identities(&self) -> Vec<Identity> {
        self.shards
            .iter()
            .map(|shard| shard.identity.clone())
            .collect()
    }

    /// Whether the checkpoint holds this tensor.
    pub fn contains(&self, name: &str) -> bool {
        self.shard_of.contains_key(name)
    }

    /// Names of all tensors, in no particular order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.shard_of.keys().map(String::as_str)
    }

    /// Whether the two are one tensor bit by bit; false if one is not there.
    pub fn same(&self, one: &str, other: &str) -> bool {
        let view = |name: &str| self.shards[*self.shard_of.get(name)?].view(name).ok();
        view(one).is_some_and(|view_of_one| Some(view_of_one) == view(other))
    }

    /// Copies one tensor to the CPU in the number format of the file.
    pub fn read(&self, name: &str) -> Result<Tensor> {
        self.shard(name)?.read(name)
    }

    /// The shape of a tensor whose format could be read. Reads headers alone.
    pub fn shape(&self, name: &str) -> Result<Vec<i64>> {
        let (_, shape, _) = self.shard(name)?.parameter(name)?;
        Ok(shape)
    }

    fn shard(&self, name: &str) -> Result<&Shard> {
        match self.shard_of.get(name) {
            Some(&shard) => Ok(&self.shards[shard]),
            None => Err(Error::MissingTensor {
                name: name.to_owned(),
                origin: self.folder.display().to_string(),
            }),
        }
    }
}

impl Shard {
    fn open(path: PathBuf) -> Result<Self> {
        let unreadable = |error| Error::unreadable(&path, error);
        let file = file::open(&path).map_err(unreadable)?;
        let identity = file.metadata().map_err(unreadable)?.into();
        // SAFETY: the map is only read. A checkpoint that another process truncates while it is
        // in use would fault; checkpoints are immutable once downloaded.
        let bytes = unsafe { Mmap::map(&file) }.map_err(unreadable)?;
        file::check_pointer(&bytes).map_err(unreadable)?;
        let (header, metadata) =
            SafeTensors::read_metadata(&bytes).map_err(|error| Error::File {
                path: path.clone(),
                reason: format!(
                    "it is truncated or not a safetensors file ({error}); download it again"
                ),
            })?;
        Ok(Self {
            path,
            identity,
            bytes,
            metadata,
            data_start: size_of::<u64>() + header,
        })
    }

    fn read(&self, name: &str) -> Result<Tensor> {
        let (kind, shape, data) = self.parameter(name)?;
        let tensor = Tensor::f_from_data_size(data, &shape, kind)?;
        self.forget(data);
        Ok(tensor)
    }

    /// Gives the memory of these bytes back, which are copied by now: else a checkpoint would stand in memory twice.
    fn forget(&self, data: &[u8]) {
        let offset = data.as_ptr() as usize - self.bytes.as_ptr() as usize;
        // SAFETY: nobody writes to the map, so a page that is looked at again is read from the file again.
        let given_back = unsafe {
            self.bytes
                .unchecked_advise_range(UncheckedAdvice::DontNeed, offset, data.len())
        };
        if let Err(error) = given_back {
            tracing::debug!("the memory of a checkpoint's map stays taken: {error}");
        }
    }

    /// Number format, shape and bytes of a tensor that a network can compute with.
    fn parameter(&self, name: &str) -> Result<(Kind, Vec<i64>, &[u8])> {
        let (dtype, shape, data) = self.view(name)?;
        let kind = kind_of(dtype).ok_or_else(|| Error::File {
            path: self.path.clone(),
            reason: format!(
                "tensor {name} has the number format {dtype:?}: it is quantised; take the unquantised checkpoint"
            ),
        })?;
        Ok((kind, shape.iter().map(|&n| n as i64).collect(), data))
    }

    /// Number format, shape and bytes of a tensor.
    fn view(&self, name: &str) -> Result<(Dtype, &[usize], &[u8])> {
        let malformed = |reason: &str| Error::File {
            path: self.path.clone(),
            reason: format!("tensor {name} {reason}"),
        };
        let info = self
            .metadata
            .info(name)
            .ok_or_else(|| malformed("is not in its header"))?;
        let (start, end) = info.data_offsets;
        let data = self
            .bytes
            .get(self.data_start + start..self.data_start + end)
            .ok_or_else(|| malformed("lies outside the file"))?;
        Ok((info.dtype, &info.shape, data))
    }
}

/// The formats that parameters have; whole numbers are what quantisation leaves of them.
fn kind_of(dtype: Dtype) -> Option<Kind> {
    Some(match dtype {
        Dtype::F64 => Kind::Double,
        Dtype::F32 => Kind::Float,
        Dtype::F16 => Kind::Half,
        Dtype::BF16 => Kind::BFloat16,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{prelude::*, sample::Index};
    use safetensors::tensor::TensorView;

    fn write(path: &Path, tensors: &[(&str, &[usize], &[f32])]) {
        let bytes: Vec<Vec<u8>> = tensors
            .iter()
            .map(|(_, _, values)| values.iter().flat_map(|v| v.to_le_bytes()).collect())
            .collect();
        let views = tensors.iter().zip(&bytes).map(|((name, shape, _), data)| {
            let view = TensorView::new(Dtype::F32, shape.to_vec(), data).unwrap();
            (name.to_string(), view)
        });
        std::fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
    }

    #[test]
    fn one_file_and_shards_read_the_same() {
        let single = tempfile::tempdir().unwrap();
        write(
            &single.path().join(SINGLE),
            &[("a", &[2], &[1.0, 2.0]), ("b", &[1, 1], &[3.0])],
        );
        let sharded = tempfile::tempdir().unwrap();
        write(
            &sharded.path().join("one.safetensors"),
            &[("a", &[2], &[1.0, 2.0])],
        );
        write(
            &sharded.path().join("two.safetensors"),
            &[("b", &[1, 1], &[3.0])],
        );
        let index = r#"{"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}"#;
        std::fs::write(sharded.path().join(INDEX), index).unwrap();

        for folder in [single.path(), sharded.path()] {
            let checkpoint = Checkpoint::open(folder).unwrap();
            assert_eq!(
                Vec::<f32>::try_from(checkpoint.read("a").unwrap()).unwrap(),
                [1.0, 2.0]
            );
            assert_eq!(checkpoint.read("b").unwrap().size(), [1, 1]);
            assert!(!checkpoint.contains("c"));
        }
    }

    #[test]
    fn networks_of_diffusers_have_names_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let holds = |name: &str| Checkpoint::open(folder.path()).unwrap().contains(name);
        write(&folder.path().join("1.safetensors"), &[("a", &[1], &[1.0])]);
        let index = r#"{"weight_map": {"a": "1.safetensors"}}"#;
        std::fs::write(
            folder
                .path()
                .join("diffusion_pytorch_model.safetensors.index.fp16.json"),
            index,
        )
        .unwrap();
        assert!(holds("a"));
        for (file, tensor) in [
            ("diffusion_pytorch_model.fp16.safetensors", "b"),
            ("diffusion_pytorch_model.safetensors", "c"),
        ] {
            write(&folder.path().join(file), &[(tensor, &[1], &[1.0])]);
            assert!(holds(tensor) && !holds("a"), "{file}");
        }
    }

    #[test]
    fn a_truncated_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(SINGLE);
        write(&path, &[("a", &[2], &[1.0, 2.0])]);
        let whole = std::fs::read(&path).unwrap();
        for keep in [whole.len() - 1, 9, 4, 0] {
            std::fs::write(&path, &whole[..keep]).unwrap();
            let error = Checkpoint::open(folder.path()).unwrap_err().to_string();
            assert!(error.contains(SINGLE), "{keep} bytes: {error}");
        }
    }

    #[test]
    fn an_index_that_promises_too_much_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        write(
            &folder.path().join("one.safetensors"),
            &[("a", &[1], &[1.0])],
        );
        let refuse = |index: &str| {
            std::fs::write(folder.path().join(INDEX), index).unwrap();
            Checkpoint::open(folder.path()).unwrap_err().to_string()
        };
        assert!(refuse(r#"{"weight_map": {"b": "one.safetensors"}}"#).contains("holds b"));
        assert!(
            refuse(r#"{"weight_map": {"a": "gone.safetensors"}}"#).contains("gone.safetensors")
        );
        assert!(
            refuse(r#"{"weight_map": {"a": "../one.safetensors"}}"#).contains("leaves the folder")
        );
        assert!(refuse("{}").contains(INDEX));
    }

    #[test]
    fn the_single_file_counts_beside_an_index() {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join(SINGLE), &[("a", &[1], &[1.0])]);
        let stale = r#"{"weight_map": {"a": "gone.safetensors"}}"#;
        std::fs::write(folder.path().join(INDEX), stale).unwrap();
        assert!(Checkpoint::open(folder.path()).unwrap().contains("a"));
    }

    #[test]
    fn what_was_not_downloaded_is_named() {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("1.safetensors"), &[("a", &[1], &[1.0])]);
        let index =
            r#"{"weight_map": {"a": "1.safetensors", "b": "2.safetensors", "c": "3.safetensors"}}"#;
        std::fs::write(folder.path().join(INDEX), index).unwrap();
        let refused = || Checkpoint::open(folder.path()).unwrap_err().to_string();
        let error = refused();
        assert!(
            error.contains(
                "2 of the 3 files that it names are missing: 2.safetensors, 3.safetensors"
            ),
            "{error}"
        );
        let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
        std::fs::write(folder.path().join(SINGLE), pointer).unwrap();
        let error = refused();
        assert!(
            error.contains(SINGLE) && error.contains("git lfs pull"),
            "{error}"
        );
    }

    #[test]
    fn whole_numbers_are_no_parameters() {
        let folder = tempfile::tempdir().unwrap();
        let view = TensorView::new(Dtype::I8, vec![2], &[1, 2]).unwrap();
        let bytes = safetensors::serialize([("a".to_owned(), view)], None).unwrap();
        std::fs::write(folder.path().join(SINGLE), bytes).unwrap();
        let checkpoint = Checkpoint::open(folder.path()).unwrap();
        let error = checkpoint.read("a").unwrap_err().to_string();
        assert!(
            error.contains("I8") && error.contains("quantised"),
            "{error}"
        );
    }

    #[test]
    fn the_same_numbers_under_two_names_are_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let tensors: [(&str, &[usize], &[f32]); 3] = [
            ("a", &[1], &[1.0]),
            ("b", &[1], &[1.0]),
            ("c", &[1], &[2.0]),
        ];
        write(&folder.path().join(SINGLE), &tensors);
        let checkpoint = Checkpoint::open(folder.path()).unwrap();
        assert!(checkpoint.same("a", "b"));
        assert!(!checkpoint.same("a", "c") && !checkpoint.same("a", "d"));
    }

    #[test]
    fn an_empty_folder_says_what_it_should_hold() {
        let folder = tempfile::tempdir().unwrap();
        let error = Checkpoint::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains(SINGLE) && error.contains(INDEX), "{error}");
    }

    proptest! {
        #[test]
        fn damage_is_said_or_does_no_harm(
            in_index: bool,
            damages in prop::collection::vec((any::<Index>(), any::<u8>()), 1..5),
            keep in any::<Index>(),
            cut: bool,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let shard = folder.path().join("one.safetensors");
            let index = folder.path().join(INDEX);
            write(&shard, &[("a", &[2], &[1.0, 2.0]), ("b", &[1, 2], &[3.0, 4.0])]);
            let both = r#"{"weight_map": {"a": "one.safetensors", "b": "one.safetensors"}}"#;
            std::fs::write(&index, both).unwrap();
            let file = if in_index { index } else { shard };
            let mut bytes = std::fs::read(&file).unwrap();
            for (at, byte) in damages {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if cut {
                bytes.truncate(keep.index(bytes.len()));
            }
            std::fs::write(&file, bytes).unwrap();
            match Checkpoint::open(folder.path()) {
                Err(error) => prop_assert!(!error.to_string().is_empty()),
                Ok(checkpoint) => {
                    for name in checkpoint.names() {
                        // Either is right; what is read has as many numbers as its shape says.
                        if let Ok(tensor) = checkpoint.read(name) {
                            let numbers: i64 = checkpoint.shape(name).unwrap().iter().product();
                            prop_assert_eq!(tensor.numel() as i64, numbers);
                        }
                    }
                }
            }
        }
    }
}
