//! What is written down of every sample: one line of a journal.

use std::collections::BTreeMap;

use medfocus_plugin_api::{BBox, Batch, Error, Mode, ModelInfo, Native};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    attribute::BoxRecord, causal::gate::Group, plugin::Calls, score::LanguagePrior,
    verdict::Verdict,
};

/// One question about one image to one model.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CaseKey {
    /// Dataset, by the name it gives itself.
    pub dataset: String,
    /// Model, as the experiment names it.
    pub model: String,
    /// How the question asks to be answered.
    pub mode: Mode,
    /// Number of the sample in its dataset.
    pub index: u64,
}

/// What was chosen for a model when it was loaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Computed {
    /// Device, as `cpu` or `cuda:0`.
    pub device: String,
    /// Number format, as `f32` or `bf16`.
    pub dtype: String,
    /// Most images at once, where the model says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<Batch>,
}

impl From<ModelInfo> for Computed {
    fn from(model: ModelInfo) -> Self {
        Self {
            device: model.device,
            dtype: model.dtype,
            batch: model.batch,
        }
    }
}

/// A sample and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Which one.
    pub case: CaseKey,
    /// Digest of the model's weights and settings.
    pub model_digest: String,
    /// How the model computed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub computed: Option<Computed>,
    /// Seed of every random choice in it.
    pub seed: u64,
    /// What the image showed and the model said, where it came so far.
    pub subject: Option<Subject>,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// Wall-clock seconds of the sample.
    pub seconds: f64,
}

/// A line of a journal about a sample.
pub trait Recorded {
    /// Which sample.
    fn case(&self) -> &CaseKey;
    /// Digest of the model's weights and settings.
    fn model_digest(&self) -> &str;
    /// Why the sample failed, wholly or in part, if it did.
    fn error(&self) -> Option<&Error>;
}

impl Recorded for Record {
    fn case(&self) -> &CaseKey {
        &self.case
    }

    fn model_digest(&self) -> &str {
        &self.model_digest
    }

    fn error(&self) -> Option<&Error> {
        match &self.outcome {
            Outcome::Failed { error } => Some(error),
            Outcome::Excluded { .. } => None,
            Outcome::Attributed { results } => results.iter().find_map(|r| match &r.outcome {
                MethodOutcome::Failed { error } => Some(error),
                MethodOutcome::Scored { .. } => None,
            }),
        }
    }
}

/// What an image shows and what the model says of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Subject {
    /// `blake3:` and the hex digest of the image's size and pixels.
    pub image: String,
    /// Columns and rows of the image as it was read.
    pub size: (u32, u32),
    /// The patient, by a name that only tells patients apart: samples of one are not independent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patient: Option<String>,
    /// What the question asks about.
    pub finding: String,
    /// Whether it is there, where known.
    pub present: Option<bool>,
    /// Where it is.
    pub truth: Vec<BBox<Native>>,
    /// The full question, suffix included.
    pub question: String,
    /// The explained answer.
    pub answer: String,
    /// Whether it was cut at the limit of tokens.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
    /// How it reads.
    pub verdict: Verdict,
    /// How likely the answer is with the image and without; nothing where the model cannot score, or nobody asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language_prior: Option<LanguagePrior>,
    /// What the causal filter proved of it, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Group>,
}

/// What came of a sample.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// The methods were asked.
    Attributed {
        /// What each said, in the order of the plan.
        results: Vec<MethodResult>,
    },
    /// The experiment does not explain such an answer.
    Excluded {
        /// Why.
        reason: Exclusion,
    },
    /// It could not be read or answered.
    Failed {
        /// Why.
        error: Error,
    },
}

/// Why a sample is not explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exclusion {
    /// The answer is wrong.
    Incorrect,
    /// The answer says neither yes nor no.
    Undecided,
    /// The answer is right, but the annotated region is not proven to cause it.
    Ungrounded,
    /// No region is annotated, so none can be found.
    Unannotated,
}

/// What a method said of a sample.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MethodResult {
    /// Name of the method in tables.
    pub method: String,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: MethodOutcome,
    /// Calls between plugins by `slot.operation`.
    pub calls: BTreeMap<String, Count>,
    /// Wall-clock seconds.
    pub seconds: f64,
}

/// What came of asking a method.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum MethodOutcome {
    /// It answered.
    Scored {
        /// The evidence, strongest first.
        boxes: Vec<BoxRecord>,
        /// Values by the metric's name; a metric that does not apply is left out.
        metrics: BTreeMap<String, f64>,
        /// Whether the method fell back to the whole image for want of evidence.
        fallback: bool,
        /// Whatever else the method said.
        evidence: Map<String, Value>,
        /// What to know before trusting this result.
        warnings: Vec<String>,
    },
    /// It failed.
    Failed {
        /// Why.
        error: Error,
    },
}

/// How often an operation was called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Calls.
    pub calls: u64,
    /// Tensors sent along: for `model.score` and its like, images.
    pub tensors: u64,
}

impl From<Calls> for Count {
    fn from(calls: Calls) -> Self {
        Self {
            calls: calls.calls,
            tensors: calls.tensors,
        }
    }
}

/// How an attribution changed when something it should depend on was changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SanityRecord {
    /// The original.
    pub case: CaseKey,
    /// Name of the method in tables; nothing if it is about the model's own answer.
    pub method: Option<String>,
    /// What was changed.
    pub change: Change,
    /// How alike the two results are, or why this is not known.
    #[serde(flatten)]
    pub outcome: SanityOutcome,
}

/// What is changed in a sanity check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Another finding is asked about.
    Question,
    /// Another patient's image is shown.
    Patient,
    /// A black image is shown.
    NoImage,
    /// So many of the model's layers, from the top, are noise.
    Weights(u32),
    /// All weights are noise.
    AllWeights,
}

/// What came of a sanity check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum SanityOutcome {
    /// Both results were there.
    Compared {
        /// Spearman's rank correlation of the two maps; nothing where there are no maps or one is constant.
        rank_correlation: Option<f64>,
        /// Intersection over union of the two regions.
        region_iou: f64,
    },
    /// The model answered the same question.
    Answered {
        /// What it says now.
        answer: String,
        /// Whether that is what it said before.
        same: bool,
        /// Whether the answer was right before, and is now, where that is known.
        right: Option<[bool; 2]>,
    },
    /// One of the two could not be made.
    Failed {
        /// Why.
        error: Error,
    },
}
