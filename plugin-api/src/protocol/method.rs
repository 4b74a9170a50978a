//! Attribution methods.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Client, answer, mode::Mode, unknown};
use crate::{
    error::Result,
    frame::{BBox, Letterbox, Working},
    heat::HeatMap,
    image::{GrayImage, Mask},
    manifest::Kind,
    message::Message,
    protocol::dataset::SampleKey,
    tensor::Tensor,
};

/// Says which part of an image made a model give an answer.
pub trait AttributionMethod: Send + Sync {
    /// Explains one answer.
    ///
    /// # Errors
    ///
    /// Whatever keeps it from a result; finding no evidence is not an error but an empty result.
    fn attribute(&self, task: &Task) -> Result<Attribution>;
}

/// One answer to explain.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Task {
    /// What the model saw: 224 x 224.
    pub image: GrayImage,
    /// The image as it was read.
    pub native: GrayImage,
    /// How the second lies in the first.
    pub letterbox: Letterbox,
    /// The full question, suffix included.
    pub question: String,
    /// The answer to explain.
    pub answer: String,
    /// The texts of the answer's tokens; none if the model does not show them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<String>,
    /// How the question asks to be answered.
    pub mode: Mode,
    /// For every random choice.
    pub seed: u64,
    /// The finding the question is about, if known.
    #[serde(default)]
    pub finding: Option<String>,
    /// The sample this is, for editors and pools that know the dataset.
    #[serde(default)]
    pub sample: Option<SampleKey>,
}

impl Task {
    /// An answer to a question in [`Mode::Direct`], with seed 0, about an image of no dataset.
    pub fn new(
        image: GrayImage,
        native: GrayImage,
        letterbox: Letterbox,
        question: impl Into<String>,
        answer: impl Into<String>,
    ) -> Self {
        Self {
            image,
            native,
            letterbox,
            question: question.into(),
            answer: answer.into(),
            tokens: Vec::new(),
            mode: Mode::Direct,
            seed: 0,
            finding: None,
            sample: None,
        }
    }
}

/// A region with its score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScoredBox {
    /// Where.
    pub bbox: BBox<Working>,
    /// How strongly, on the method's own scale; higher is stronger.
    pub score: f64,
    /// What it is, where the method says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

/// What a method found: write the fields you know and `..Attribution::default()`, as fields may be added.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Attribution {
    /// The evidence as a map; the host makes boxes of it where the method gives none.
    #[serde(default)]
    pub heat: Option<HeatMap>,
    /// The evidence as boxes; an empty list says that there is none.
    #[serde(default)]
    pub boxes: Option<Vec<ScoredBox>>,
    /// The evidence as an exact region of the working image.
    #[serde(default)]
    pub mask: Option<Mask>,
    /// A map for each answer token: (T, 224, 224), f32.
    #[serde(default)]
    pub token_heat: Option<Tensor>,
    /// Whatever else the method knows, as JSON.
    #[serde(default)]
    pub evidence: Map<String, Value>,
    /// What the user should know about this result.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// Operation of [`AttributionMethod::attribute`].
pub const ATTRIBUTE: &str = "attribute";

/// What these components are.
pub const KIND: Kind = Kind::Method;

/// Performs an operation of a method.
pub fn serve(method: &dyn AttributionMethod, op: &str, message: Message) -> Result<Message> {
    match op {
        ATTRIBUTE => answer(message, |task: Task| method.attribute(&task)),
        _ => Err(unknown(op)),
    }
}

impl AttributionMethod for Client {
    fn attribute(&self, task: &Task) -> Result<Attribution> {
        self.ask(ATTRIBUTE, task)
    }
}
