//! Vision-language models.

use serde::{Deserialize, Serialize};

use super::{
    Client, answer, numbers,
    tokens::{AnswerSpan, Token},
    trace::{Quantity, Trace, TraceRequest},
    unknown,
};
use crate::{
    error::{Error, ErrorKind, Result},
    image::GrayImage,
    manifest::{Ability, Kind},
    message::Message,
    tensor::Tensor,
};

/// A model that answers a question about an image.
///
/// A backend offers what its [`Component::ABILITIES`](crate::Component::ABILITIES) say; the other
/// operations keep their default, which refuses.
pub trait VisionLanguageModel: Send + Sync {
    /// What the model is.
    fn info(&self) -> Result<ModelInfo>;

    /// Answers greedily.
    fn generate(&self, request: &GenerateRequest) -> Result<Generation> {
        let _ = request;
        Err(Error::unsupported("this model does not generate"))
    }

    /// Answers one question about each of several images, as [`generate`](Self::generate) does one by one: a backend that
    /// reads them together is faster.
    fn generate_each(&self, request: &GenerateEachRequest) -> Result<Vec<Generation>> {
        request.each().map(|one| self.generate(&one)).collect()
    }

    /// Log-probabilities of a given answer, for many images at once.
    fn score(&self, request: &ScoreRequest) -> Result<Scores> {
        let _ = request;
        Err(Error::unsupported(
            "this model does not score given answers",
        ))
    }

    /// Attention maps, hidden states and gradients of one teacher-forced pass.
    fn trace(&self, request: &TraceRequest) -> Result<Trace> {
        let _ = request;
        Err(Error::unsupported("this model does not show its inside"))
    }
}

/// What a model is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ModelInfo {
    /// Architecture, as `gemma3`.
    pub family: String,
    /// What this instance offers.
    pub abilities: Vec<Ability>,
    /// Digest of weights and settings: the same digest gives the same answers.
    pub digest: String,
    /// Parameters.
    pub parameters: u64,
    /// Device it runs on, as `cpu` or `cuda:0`.
    pub device: String,
    /// Type it computes in, as `f32` or `bf16`.
    pub dtype: String,
    /// Height and width of the vision tower's input for a working image.
    #[serde(default)]
    pub input: Option<(u32, u32)>,
    /// Rows and columns of image tokens for a working image.
    pub grid: (u32, u32),
    /// How the model writes boxes.
    pub coordinates: Coordinates,
    /// Decoder layers, in order.
    pub layers: Vec<AttentionKind>,
    /// Attention heads of a layer.
    pub heads: u32,
    /// Width of a hidden state.
    pub hidden: u32,
    /// Working memory, where the backend knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
    /// How many images it computes at once, where the backend says: sums may run in another order with others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<Batch>,
}

impl ModelInfo {
    /// A model that offers nothing, on the CPU in f32, of unknown shape: set the fields that are known.
    pub fn new(family: impl Into<String>, digest: impl Into<String>) -> Self {
        Self {
            family: family.into(),
            abilities: Vec::new(),
            digest: digest.into(),
            parameters: 0,
            device: "cpu".to_owned(),
            dtype: "f32".to_owned(),
            input: None,
            grid: (0, 0),
            coordinates: Coordinates::Unknown,
            layers: Vec::new(),
            heads: 0,
            hidden: 0,
            memory: None,
            batch: None,
        }
    }
}

/// Most images that a model takes at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// While scoring.
    pub score: u32,
    /// While taking the gradient with respect to pixels.
    pub pixel_gradient: u32,
}

/// Working memory of one more image in a batch, in bytes: an estimate, without the weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// While scoring.
    pub score: u64,
    /// While taking the gradient with respect to pixels.
    pub pixel_gradient: u64,
}

/// How far a decoder layer sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AttentionKind {
    /// Everything before.
    Full,
    /// This many tokens, itself the last of them.
    Sliding(u32),
    /// Something that only a later version of this crate knows.
    #[serde(untagged, deserialize_with = "super::unknown_to_this_version")]
    Unknown,
}

/// The convention in which a model writes boxes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Coordinates {
    /// `[y1, x1, y2, x2]`, each 0 to 1000.
    YxyxThousand,
    /// `[x1, y1, x2, y2]` in pixels of the image the model sees.
    XyxyPixels,
    /// Not said, or in a way that only a later version of this crate knows.
    #[serde(untagged, deserialize_with = "super::unknown_to_this_version")]
    Unknown,
}

/// A question to answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct GenerateRequest {
    /// What the model sees.
    pub image: GrayImage,
    /// The user's turn.
    pub question: String,
    /// Where to stop at the latest.
    pub max_new_tokens: u32,
}

impl GenerateRequest {
    /// A question about an image.
    pub fn new(image: GrayImage, question: impl Into<String>, max_new_tokens: u32) -> Self {
        Self {
            image,
            question: question.into(),
            max_new_tokens,
        }
    }
}

/// A question to answer about each of several images.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct GenerateEachRequest {
    /// N images.
    pub images: Vec<GrayImage>,
    /// The user's turn.
    pub question: String,
    /// Where to stop at the latest.
    pub max_new_tokens: u32,
}

impl GenerateEachRequest {
    /// A question about each of these images.
    pub fn new(images: Vec<GrayImage>, question: impl Into<String>, max_new_tokens: u32) -> Self {
        Self {
            images,
            question: question.into(),
            max_new_tokens,
        }
    }

    /// The question about one image after the other.
    fn each(&self) -> impl Iterator<Item = GenerateRequest> {
        let images = self.images.iter();
        images.map(|image| {
            GenerateRequest::new(image.clone(), self.question.clone(), self.max_new_tokens)
        })
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Generation {
    /// The answer without its closing tokens.
    pub text: String,
    /// Its tokens, the closing one included where the model wrote it.
    pub tokens: Vec<Token>,
    /// Natural log-probability of each token.
    pub log_probs: Vec<f32>,
    /// Whether the model closed its turn itself, not the limit.
    pub complete: bool,
}

impl Generation {
    /// An answer with its tokens and their log-probabilities; `complete` if the model closed its turn.
    pub fn new(
        text: impl Into<String>,
        tokens: Vec<Token>,
        log_probs: Vec<f32>,
        complete: bool,
    ) -> Self {
        Self {
            text: text.into(),
            tokens,
            log_probs,
            complete,
        }
    }
}

/// An answer to score on many images.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ScoreRequest {
    /// N images.
    pub images: Vec<GrayImage>,
    /// The user's turn.
    pub question: String,
    /// The assistant's turn.
    pub answer: String,
    /// Which of its tokens count.
    #[serde(default)]
    pub span: AnswerSpan,
}

impl ScoreRequest {
    /// An answer of which its own tokens count.
    pub fn new(
        images: Vec<GrayImage>,
        question: impl Into<String>,
        answer: impl Into<String>,
    ) -> Self {
        Self {
            images,
            question: question.into(),
            answer: answer.into(),
            span: AnswerSpan::default(),
        }
    }

    /// Lets other tokens count.
    #[must_use]
    pub fn with_span(self, span: AnswerSpan) -> Self {
        Self { span, ..self }
    }
}

/// How likely an answer is.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Scores {
    /// The T tokens of the answer.
    pub tokens: Vec<Token>,
    /// Natural log-probability of each on each image: (N, T), f32.
    pub log_probs: Tensor,
}

impl Scores {
    /// Scores (N, T) of the answer's T tokens.
    pub fn new(tokens: Vec<Token>, log_probs: Tensor) -> Self {
        Self { tokens, log_probs }
    }
}

/// Operation of [`VisionLanguageModel::info`].
pub const INFO: &str = "info";
/// Operation of [`VisionLanguageModel::generate`].
pub const GENERATE: &str = "generate";
/// Operation of [`VisionLanguageModel::generate_each`].
pub const GENERATE_EACH: &str = "generate_each";
/// Operation of [`VisionLanguageModel::score`].
pub const SCORE: &str = "score";
/// Operation of [`VisionLanguageModel::trace`].
pub const TRACE: &str = "trace";

/// What these components are.
pub const KIND: Kind = Kind::Model;

/// Performs an operation of a model.
pub fn serve(model: &dyn VisionLanguageModel, op: &str, message: Message) -> Result<Message> {
    match op {
        INFO => answer(message, |()| model.info()),
        GENERATE => answer(message, |request| model.generate(&request)?.checked()),
        GENERATE_EACH => answer(message, |request| {
            let answers = model.generate_each(&request)?.into_iter();
            answers.map(Generation::checked).collect::<Result<Vec<_>>>()
        }),
        SCORE => answer(message, |request| model.score(&request)?.checked()),
        TRACE => answer(message, |request: TraceRequest| {
            if request.objective.quantity == Quantity::Unknown {
                return Err(Error::unsupported(
                    "gradients are asked of a quantity that this model does not know",
                )
                .with_hint("update the model's plugin"));
            }
            model.trace(&request)?.checked()
        }),
        _ => Err(unknown(op)),
    }
}

impl Generation {
    /// Refuses log-probabilities that are no numbers.
    fn checked(self) -> Result<Self> {
        let finite = self.log_probs.iter().all(|value| value.is_finite());
        numbers::check(finite, "log-probabilities")?;
        Ok(self)
    }
}

impl Scores {
    /// Refuses log-probabilities that are no numbers.
    fn checked(self) -> Result<Self> {
        numbers::log_probs(&self.log_probs)?;
        Ok(self)
    }
}

impl VisionLanguageModel for Client {
    fn info(&self) -> Result<ModelInfo> {
        self.ask(INFO, &())
    }

    fn generate(&self, request: &GenerateRequest) -> Result<Generation> {
        self.ask(GENERATE, request)
    }

    fn generate_each(&self, request: &GenerateEachRequest) -> Result<Vec<Generation>> {
        let answers: Vec<Generation> = match self.ask(GENERATE_EACH, request) {
            // A model from before several images were asked about at once.
            Err(error) if error.kind == ErrorKind::Unsupported => {
                request.each().map(|one| self.generate(&one)).collect()
            }
            answers => answers,
        }?;
        if answers.len() != request.images.len() {
            return Err(Error::protocol(format!(
                "the model answered {} times about {} images",
                answers.len(),
                request.images.len()
            )));
        }
        Ok(answers)
    }

    fn score(&self, request: &ScoreRequest) -> Result<Scores> {
        self.ask(SCORE, request)
    }

    fn trace(&self, request: &TraceRequest) -> Result<Trace> {
        self.ask(TRACE, request)
    }
}
