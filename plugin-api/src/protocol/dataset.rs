//! Dataset readers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Client, answer, mode::Mode, unknown};
use crate::{
    error::{ErrorKind, Result},
    frame::{BBox, Native},
    image::{GrayImage, Mask},
    manifest::Kind,
    message::Message,
};

/// Reads annotated images in a stable order.
pub trait DatasetReader: Send + Sync {
    /// What the dataset is.
    fn info(&self) -> Result<DatasetInfo>;

    /// Sample `index` of `0..len`.
    ///
    /// # Errors
    ///
    /// A sample that cannot be read fails alone; the others keep their numbers.
    fn sample(&self, index: u64) -> Result<Sample>;

    /// The samples meant for one model and mode, in ascending order; nothing if all are meant for every one.
    ///
    /// A benchmark that keeps for each model the samples whose region causes that model's answer says here which.
    fn chosen(&self, _request: &ChoiceRequest) -> Result<Option<Vec<Chosen>>> {
        Ok(None)
    }
}

/// For whom samples are chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ChoiceRequest {
    /// The model, as the experiment names it.
    pub model: String,
    /// How the questions ask to be answered.
    pub mode: Mode,
}

impl ChoiceRequest {
    /// The choice for this model in this mode.
    pub fn new(model: impl Into<String>, mode: Mode) -> Self {
        Self {
            model: model.into(),
            mode,
        }
    }
}

/// A sample meant for a model and mode.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Chosen {
    /// Its number, of `0..len`.
    pub index: u64,
    /// What the model is on record to have answered.
    #[serde(default)]
    pub answer: Option<String>,
}

impl Chosen {
    /// A sample without a recorded answer.
    pub fn new(index: u64) -> Self {
        Self {
            index,
            answer: None,
        }
    }
}

/// Something odd in a dataset's files that was passed over, and how often.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Oddity {
    /// What it is, in a few words that are the same each time, as `rows given twice`.
    pub what: String,
    /// How often.
    pub count: u64,
    /// Where it was met first, as `gold.txt, line 17`.
    pub first: String,
}

impl Oddity {
    /// Met so often, first there.
    pub fn new(what: impl Into<String>, count: u64, first: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            count,
            first: first.into(),
        }
    }
}

/// What a dataset is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DatasetInfo {
    /// Its name in results.
    pub name: String,
    /// Its samples are numbered `0..len`.
    pub len: u64,
    /// Digest of what determines its samples.
    pub digest: String,
    /// What was odd in its files and passed over.
    #[serde(default)]
    pub oddities: Vec<Oddity>,
}

impl DatasetInfo {
    /// A dataset of `len` samples.
    pub fn new(name: impl Into<String>, len: u64, digest: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            len,
            digest: digest.into(),
            oddities: Vec::new(),
        }
    }
}

/// Names a sample for good.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SampleKey {
    /// [`DatasetInfo::name`].
    pub dataset: String,
    /// Its number.
    pub index: u64,
}

/// An image, a question about it, and the evidence.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Sample {
    /// Which sample this is.
    pub key: SampleKey,
    /// The image at its own size.
    pub image: GrayImage,
    /// What the question asks about, as `pleural effusion`; [`NO_FINDING`] of a normal image.
    pub finding: String,
    /// The full question without suffix.
    pub question: String,
    /// Whether the finding is there, where known.
    #[serde(default)]
    pub present: Option<bool>,
    /// Where it is.
    pub boxes: Vec<BBox<Native>>,
    /// Exact regions by name, where known: the finding and the anatomical concepts.
    #[serde(default)]
    pub masks: BTreeMap<String, Mask>,
    /// Name of the patient's cluster, for statistics; never a patient's real name.
    #[serde(default)]
    pub patient: Option<String>,
    /// What is odd about it, as `1 box lies outside the image`.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// What the question about a normal image asks about: nothing by name.
pub const NO_FINDING: &str = "no finding";

impl Sample {
    /// A normal image: asked about any abnormality, which is not there.
    pub fn normal(key: SampleKey, image: GrayImage) -> Self {
        let question = "Is there evidence of any abnormality in the image?";
        Self {
            present: Some(false),
            ..Self::new(key, image, NO_FINDING, question)
        }
    }

    /// An image with a question about a finding, without evidence: set the fields that are known.
    pub fn new(
        key: SampleKey,
        image: GrayImage,
        finding: impl Into<String>,
        question: impl Into<String>,
    ) -> Self {
        Self {
            key,
            image,
            finding: finding.into(),
            question: question.into(),
            present: None,
            boxes: Vec::new(),
            masks: BTreeMap::new(),
            patient: None,
            warnings: Vec::new(),
        }
    }

    /// Whether the dataset says that the image is normal: nothing but that, as a sample without the finding asked
    /// about may show another.
    pub fn is_normal(&self) -> bool {
        self.finding == NO_FINDING && self.boxes.is_empty()
    }
}

/// Operation of [`DatasetReader::info`].
pub const INFO: &str = "info";
/// Operation of [`DatasetReader::sample`].
pub const SAMPLE: &str = "sample";
/// Operation of [`DatasetReader::chosen`].
pub const CHOSEN: &str = "chosen";

/// What these components are.
pub const KIND: Kind = Kind::Dataset;

/// Performs an operation of a reader.
pub fn serve(reader: &dyn DatasetReader, op: &str, message: Message) -> Result<Message> {
    match op {
        INFO => answer(message, |()| reader.info()),
        SAMPLE => answer(message, |index| reader.sample(index)),
        CHOSEN => answer(message, |request: ChoiceRequest| reader.chosen(&request)),
        _ => Err(unknown(op)),
    }
}

impl DatasetReader for Client {
    fn info(&self) -> Result<DatasetInfo> {
        self.ask(INFO, &())
    }

    fn sample(&self, index: u64) -> Result<Sample> {
        self.ask(SAMPLE, &index)
    }

    fn chosen(&self, request: &ChoiceRequest) -> Result<Option<Vec<Chosen>>> {
        match self.ask(CHOSEN, request) {
            // A reader from before there were choices.
            Err(error) if error.kind == ErrorKind::Unsupported => Ok(None),
            chosen => chosen,
        }
    }
}
