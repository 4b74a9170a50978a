//! The references as samples.

use std::path::Path;

use medfocus_plugin_api::{
    Component, Context, DatasetInfo, DatasetReader, Error, Result, Sample, SampleKey, params,
};

use crate::folder::Folder;

params! {
    /// Parameters of [`PoolReader`].
    pub struct PoolParams {
        /// Folder of the pool, with `images` and `masks`.
        pub path: String = "";
    }
}

/// What the dataset is called in results.
const NAME: &str = "reference_pool";

/// A folder of normal images with masks of anatomical concepts, in the order of their names.
///
/// Every file is read and checked when the reader is made; the pixels are read again when a sample is asked for, so
/// that no more than one reference is held.
pub struct PoolReader {
    folder: Folder,
    digests: Vec<blake3::Hash>,
    context: Context,
}

impl Component for PoolReader {
    const NAME: &'static str = NAME;
    const SUMMARY: &'static str =
        "A folder of normal chest X-rays with masks of anatomical concepts: the pool of MedFocus.";
    type Params = PoolParams;

    fn new(params: PoolParams, context: Context) -> Result<Self> {
        if params.path.is_empty() {
            return Err(Error::invalid("parameter `path` is missing")
                .with_key("path")
                .with_hint("it names the folder of the pool"));
        }
        let folder = Folder::open(Path::new(&params.path))?;
        let total = folder.references.len() as u64;
        let digests = folder
            .references
            .iter()
            .zip(0..)
            .map(|(files, done)| {
                context.step(done, total, "reading the pool")?;
                Ok(folder.read(&context, files)?.digest)
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            folder,
            digests,
            context,
        })
    }
}

impl DatasetReader for PoolReader {
    fn info(&self) -> Result<DatasetInfo> {
        let mut hasher = blake3::Hasher::new();
        for digest in &self.digests {
            hasher.update(digest.as_bytes());
        }
        Ok(DatasetInfo::new(
            NAME,
            self.digests.len() as u64,
            hasher.finalize().to_hex().to_string(),
        ))
    }

    fn sample(&self, index: u64) -> Result<Sample> {
        let at = usize::try_from(index).ok();
        let found = at.and_then(|at| self.folder.references.get(at).zip(self.digests.get(at)));
        let (files, digest) = found.ok_or_else(|| {
            Error::invalid(format!(
                "sample {index} is beyond the {} of this pool",
                self.digests.len()
            ))
        })?;
        let content = self.folder.read(&self.context, files)?;
        if content.digest != *digest {
            return Err(Error::invalid(format!(
                "reference `{}` changed since the pool was opened",
                files.name
            )));
        }
        let key = SampleKey {
            dataset: NAME.into(),
            index,
        };
        let mut sample = Sample::normal(key, content.image);
        sample.masks = content.masks;
        sample.patient = Some(files.name.clone());
        Ok(sample)
    }
}
