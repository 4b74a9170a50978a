//! The checkpoint folder, in the layout of the Hugging Face hub.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use medfocus_torch::checkpoint::Checkpoint;
use medfocus_torch::tch::{Kind, Tensor};
use safetensors::tensor::{Dtype, TensorView};
use serde_json::Value;

/// The file that tells how the checkpoint was made.
pub const RECORD: &str = "TRAINING.json";

/// A folder beside the final one, renamed into its place when complete.
pub struct Staging {
    folder: PathBuf,
    target: PathBuf,
}

impl Staging {
    /// An empty folder for what will become `target`, which may hold an earlier checkpoint.
    pub fn new(target: &Path) -> Result<Staging> {
        let name = target
            .file_name()
            .context("the output folder has no name")?;
        ensure!(
            !target.exists() || target.join(RECORD).is_file(),
            "{} holds something else than a checkpoint, which would be replaced",
            target.display()
        );
        let folder = target.with_file_name(format!("{}.partial", name.to_string_lossy()));
        if folder.exists() {
            fs::remove_dir_all(&folder)
                .with_context(|| format!("{} cannot be emptied", folder.display()))?;
        }
        fs::create_dir_all(&folder)
            .with_context(|| format!("{} cannot be created", folder.display()))?;
        Ok(Staging {
            folder,
            target: target.to_owned(),
        })
    }

    /// Where the files are now.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes the weights as f32, or rounded to f16.
    pub fn write_weights(&self, tensors: &BTreeMap<String, Tensor>, format: Format) -> Result<()> {
        let bytes = tensors
            .iter()
            .map(|(name, tensor)| Ok((name.as_str(), tensor.size(), format.bytes(tensor)?)))
            .collect::<Result<Vec<_>>>()?;
        let views = bytes
            .iter()
            .map(|(name, size, data)| {
                let shape = size.iter().map(|&side| side as usize).collect();
                Ok((*name, TensorView::new(format.dtype(), shape, data)?))
            })
            .collect::<Result<Vec<_>>>()?;
        let metadata = [("format".to_owned(), "pt".to_owned())].into();
        self.write(
            "model.safetensors",
            &safetensors::serialize(views, Some(metadata))?,
        )
    }

    /// Writes a JSON file.
    pub fn write_json(&self, name: &str, value: &Value) -> Result<()> {
        write_json(&self.folder, name, value)
    }

    /// Writes a file.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        write(&self.folder.join(name), bytes)
    }

    /// Puts the complete folder in its place.
    pub fn publish(self) -> Result<()> {
        if self.target.exists() {
            fs::remove_dir_all(&self.target)
                .with_context(|| format!("{} cannot be replaced", self.target.display()))?;
        }
        fs::rename(&self.folder, &self.target)
            .with_context(|| format!("{} cannot be put in place", self.target.display()))
    }
}

/// How weights are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// In full.
    F32,
    /// Rounded to half precision.
    F16,
}

impl Format {
    fn dtype(self) -> Dtype {
        match self {
            Format::F32 => Dtype::F32,
            Format::F16 => Dtype::F16,
        }
    }

    fn bytes(self, tensor: &Tensor) -> Result<Vec<u8>> {
        let flat = tensor.detach().flatten(0, -1);
        Ok(match self {
            Format::F32 => Vec::<f32>::try_from(flat.to_kind(Kind::Float))?
                .into_iter()
                .flat_map(f32::to_le_bytes)
                .collect(),
            Format::F16 => Vec::<i16>::try_from(flat.to_kind(Kind::Half).view_dtype(Kind::Int16))?
                .into_iter()
                .flat_map(i16::to_le_bytes)
                .collect(),
        })
    }
}

/// The parameters of these names and shapes from a checkpoint, ready to be trained on.
pub fn stored(
    folder: &Path,
    shapes: BTreeMap<String, Vec<i64>>,
) -> Result<BTreeMap<String, Tensor>> {
    let checkpoint = Checkpoint::open(folder)?;
    let read = |(name, shape): (String, Vec<i64>)| {
        let value = checkpoint
            .read(&name)?
            .to_kind(Kind::Float)
            .set_requires_grad(true);
        ensure!(
            value.size() == shape,
            "{name} in {} has another shape than this program gives it",
            folder.display()
        );
        Ok((name, value))
    };
    shapes.into_iter().map(read).collect()
}

/// The record of a checkpoint.
pub fn record(folder: &Path) -> Result<Value> {
    let path = folder.join(RECORD);
    let text =
        fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not JSON", path.display()))
}

/// How a checkpoint was trained so far.
pub fn stages(folder: &Path) -> Result<Vec<Value>> {
    let record = record(folder)?;
    let stages = record["stages"].as_array();
    Ok(stages
        .with_context(|| format!("{RECORD} in {} lists no stages", folder.display()))?
        .clone())
}

/// Writes or replaces a JSON file in a folder.
pub fn write_json(folder: &Path, name: &str, value: &Value) -> Result<()> {
    let partial = folder.join(format!("{name}.partial"));
    write(&partial, format!("{value:#}\n").as_bytes())?;
    let path = folder.join(name);
    fs::rename(partial, &path).with_context(|| format!("{} cannot be put in place", path.display()))
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| format!("{} cannot be written", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_folder_appears_only_when_complete() {
        let parent = tempfile::tempdir().unwrap();
        let target = parent.path().join("checkpoint");
        let staging = Staging::new(&target).unwrap();
        staging.write_json(RECORD, &json!({"stages": []})).unwrap();
        assert!(!target.exists());
        staging.publish().unwrap();
        assert!(target.join(RECORD).is_file());
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 1);
    }
}
