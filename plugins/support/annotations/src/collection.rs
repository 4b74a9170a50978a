//! Annotations as the samples of a dataset.

use std::path::PathBuf;

use medfocus_plugin_api::{Context, DatasetInfo, Error, Result, Sample, SampleKey};

use crate::{
    boxes::{self, Corners, Unit},
    oddities::Oddities,
    patient::pseudonym,
    picture,
};

/// A finding in an image.
#[derive(Clone, Debug, PartialEq)]
pub struct Annotation {
    /// The image's file, below the folder of images.
    pub image: String,
    /// The patient, as the archive names it, or what stands for the patient.
    pub patient: String,
    /// What was found.
    pub finding: String,
    /// Where it is.
    pub boxes: Vec<Corners>,
}

/// The annotations of an archive in their order; each is one sample, which asks for a finding that is there.
pub struct Collection {
    /// What the dataset is called in results.
    pub name: &'static str,
    /// The folder of images.
    pub images: PathBuf,
    /// Sample `index` is that of this index.
    pub annotations: Vec<Annotation>,
    /// What their boxes are counted in.
    pub unit: Unit,
    /// Digest of what determines the samples.
    pub digest: blake3::Hash,
    /// What was passed over.
    pub oddities: Oddities,
    /// By which images are decoded.
    pub context: Context,
}

impl Collection {
    /// What the dataset is.
    pub fn info(&self) -> DatasetInfo {
        let len = self.annotations.len() as u64;
        let mut info = DatasetInfo::new(self.name, len, self.digest.to_hex().to_string());
        info.oddities = self.oddities.found().to_vec();
        info
    }

    /// Sample `index`; its image is read now.
    ///
    /// # Errors
    ///
    /// [`Error::invalid`] if there is no such sample or its image cannot be read, [`Error::missing`] if that is not there.
    pub fn sample(&self, index: u64) -> Result<Sample> {
        let found = usize::try_from(index)
            .ok()
            .and_then(|at| self.annotations.get(at));
        let annotation = found.ok_or_else(|| {
            Error::invalid(format!(
                "sample {index} is beyond the {} of {}",
                self.annotations.len(),
                self.name
            ))
        })?;
        let path = picture::below(&self.images, &annotation.image).ok_or_else(|| {
            Error::invalid(format!(
                "image `{}` of sample {index} leads out of {}",
                annotation.image,
                self.images.display()
            ))
        })?;
        let picture = picture::read(&self.context, &path)?;
        let (width, height) = (picture.image.width(), picture.image.height());
        let placed = boxes::place(&annotation.boxes, self.unit, width, height);
        let key = SampleKey {
            dataset: self.name.into(),
            index,
        };
        let finding = &annotation.finding;
        let question = format!("Is there evidence of {finding} in the image?");
        let mut sample = Sample::new(key, picture.image, finding, question);
        sample.present = Some(true);
        sample.boxes = placed.boxes;
        sample.patient = Some(pseudonym(self.name, &annotation.patient));
        sample.warnings = picture.warnings;
        sample.warnings.extend(placed.warnings);
        Ok(sample)
    }
}
