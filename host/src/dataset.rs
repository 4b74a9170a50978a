//! Walking a dataset: which samples it has, and what is odd about them.

use std::collections::{BTreeMap, HashMap};

use medfocus_plugin_api::{
    BBox, DatasetReader, Error, ErrorKind, Oddity, Result, Sample, SampleKey,
};
use serde::Serialize;

use crate::plugin::{Progress, Session};

/// What a walk over a dataset found.
#[derive(Clone, Debug, Serialize)]
pub struct Review {
    /// Its name.
    pub dataset: String,
    /// Digest of what determines its samples.
    pub digest: String,
    /// Samples that it has.
    pub len: u64,
    /// Samples that were read, from the first.
    pub read: u64,
    /// What was odd in its files and passed over.
    pub oddities: Vec<Oddity>,
    /// Samples by finding.
    pub findings: BTreeMap<String, Tally>,
    /// What samples warn of, in the order in which it was met.
    pub warnings: Vec<Oddity>,
    /// Samples that cannot be used.
    pub failures: Vec<Failure>,
}

/// Samples of one finding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// All of them.
    pub samples: u64,
    /// Those where the finding is there.
    pub present: u64,
    /// Those where it is not.
    pub absent: u64,
    /// Those with a box or more.
    pub annotated: u64,
    /// Boxes of all of them.
    pub boxes: u64,
}

/// A sample that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// Its number.
    pub index: u64,
    /// Why.
    pub error: String,
}

/// Reads the first `samples` of a dataset, or all.
///
/// # Errors
///
/// The dataset does not say what it is, or the user stopped it; a sample that fails is in the review.
pub fn check(
    reader: &dyn DatasetReader,
    samples: Option<u64>,
    session: &Session,
) -> Result<Review> {
    let info = reader.info()?;
    let read = samples.unwrap_or(info.len).min(info.len);
    let mut review = Review {
        dataset: info.name,
        digest: info.digest,
        len: info.len,
        read,
        oddities: info.oddities,
        findings: BTreeMap::new(),
        warnings: Vec::new(),
        failures: Vec::new(),
    };
    let mut keys = HashMap::new();
    for index in 0..read {
        let sample = reader
            .sample(index)
            .and_then(|sample| sound(&mut keys, index, &review.dataset, sample));
        match sample {
            Ok(sample) => review.add(index, sample),
            Err(error) if error.kind == ErrorKind::Cancelled => return Err(error),
            Err(error) => review.failures.push(Failure {
                index,
                error: error.to_string(),
            }),
        }
        session.step(&Progress {
            component: "dataset",
            done: index + 1,
            total: read,
            note: "checking samples",
        })?;
    }
    Ok(review)
}

impl Review {
    fn add(&mut self, index: u64, sample: Sample) {
        let tally = self.findings.entry(sample.finding).or_default();
        tally.samples += 1;
        tally.present += u64::from(sample.present == Some(true));
        tally.absent += u64::from(sample.present == Some(false));
        tally.annotated += u64::from(!sample.boxes.is_empty());
        tally.boxes += sample.boxes.len() as u64;
        for what in sample.warnings {
            match self.warnings.iter_mut().find(|known| known.what == what) {
                Some(known) => known.count += 1,
                None => self
                    .warnings
                    .push(Oddity::new(what, 1, format!("sample {index}"))),
            }
        }
    }
}

/// A sample with a key of its own, whose boxes lie in its image: what results rely on.
fn sound(
    keys: &mut HashMap<SampleKey, u64>,
    index: u64,
    dataset: &str,
    sample: Sample,
) -> Result<Sample> {
    let key = &sample.key;
    if key.dataset != dataset {
        return Err(Error::protocol(format!(
            "its key names the dataset `{}`",
            key.dataset
        )));
    }
    if let Some(other) = keys.insert(key.clone(), index) {
        return Err(Error::protocol(format!("sample {other} has the same key")));
    }
    let (width, height) = (sample.image.width(), sample.image.height());
    let outside = |bbox: &&_| BBox::clip(bbox, width, height) != Some(**bbox);
    match sample.boxes.iter().find(outside) {
        Some(bbox) => Err(Error::protocol(format!(
            "its box {bbox:?} leaves its image of {width} x {height} pixels"
        ))),
        None => Ok(sample),
    }
}

/// Whether the finding is there, in a word.
pub fn presence(sample: &Sample) -> &'static str {
    match sample.present {
        Some(true) => "present",
        Some(false) => "absent",
        None => "not known whether present",
    }
}
