//! The rows of a table as samples.

use std::path::PathBuf;

use medfocus_annotations::{Oddities, picture, place, pseudonym};
use medfocus_plugin_api::{
    Component, Context, DatasetInfo, DatasetReader, Error, NO_FINDING, Result, Sample, SampleKey,
};

use crate::{
    params::TableParams,
    samples::{self, Entry},
};

/// Anybody's own images and boxes: a table with a row for each box, and a folder of images.
///
/// Rows of one image and finding are one sample with all their boxes; samples are numbered in the order in which the
/// table has them first. A row without a box makes a sample without annotation, unless another row has one. The images
/// are PNG, JPEG, TIFF or DICOM and lie below their folder; one that cannot be read fails alone. Gaps are the empty
/// cell and, in CSV and TSV, what pandas takes for one. The digest is that of the table's text and of the parameters, not
/// of the images.
pub struct TableReader {
    params: TableParams,
    name: String,
    folder: PathBuf,
    entries: Vec<Entry>,
    digest: blake3::Hash,
    oddities: Oddities,
    context: Context,
}

impl Component for TableReader {
    const NAME: &'static str = "table";
    const SUMMARY: &'static str =
        "Your own images and boxes: a CSV, TSV, JSON or JSON lines table with a row for each box.";
    type Params = TableParams;

    fn new(params: TableParams, context: Context) -> Result<Self> {
        if params.path.is_empty() {
            return Err(Error::invalid("parameter `path` is missing")
                .with_key("path")
                .with_hint("it names the table, as boxes.csv"));
        }
        if params.question.trim().is_empty() {
            return Err(Error::invalid("parameter `question` is empty").with_key("question"));
        }
        let mut oddities = Oddities::default();
        let (entries, text) = samples::read(&params, &mut oddities)?;
        if entries.is_empty() {
            return Err(Error::missing(format!(
                "table {} has no row with image and finding",
                params.path
            )));
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update(text.as_bytes());
        hasher.update(params.meaning().as_bytes());
        Ok(Self {
            name: params.dataset(),
            folder: params.folder(),
            params,
            entries,
            digest: hasher.finalize(),
            oddities,
            context,
        })
    }
}

impl DatasetReader for TableReader {
    fn info(&self) -> Result<DatasetInfo> {
        let len = self.entries.len() as u64;
        let mut info = DatasetInfo::new(&self.name, len, self.digest.to_hex().to_string());
        info.oddities = self.oddities.found().to_vec();
        Ok(info)
    }

    fn sample(&self, index: u64) -> Result<Sample> {
        let found = usize::try_from(index)
            .ok()
            .and_then(|at| self.entries.get(at));
        let entry = found.ok_or_else(|| {
            Error::invalid(format!(
                "sample {index} is beyond the {} of {}",
                self.entries.len(),
                self.name
            ))
        })?;
        let picture = picture::read(&self.context, &self.folder.join(&entry.image))?;
        let (width, height) = (picture.image.width(), picture.image.height());
        let placed = place(&entry.boxes, self.params.unit.unit(), width, height);
        let key = SampleKey {
            dataset: self.name.clone(),
            index,
        };
        let mut sample = if entry.finding == NO_FINDING {
            Sample::normal(key, picture.image)
        } else {
            let question = self.params.question.replace("{finding}", &entry.finding);
            Sample::new(key, picture.image, &entry.finding, question)
        };
        if let Some(question) = &entry.question {
            sample.question.clone_from(question);
        }
        sample.present = entry.present;
        sample.boxes = placed.boxes;
        let patient = entry.patient.as_ref().unwrap_or(&entry.image);
        sample.patient = Some(pseudonym(&self.name, patient));
        sample.warnings = picture.warnings;
        sample.warnings.extend(placed.warnings);
        Ok(sample)
    }
}
