//! What a model computes on the way to an answer: what can be asked for, and what was captured.

use std::{fmt, ops::Range, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::{
    numbers,
    tokens::{AnswerSpan, Token},
};
use crate::{
    error::{Error, Result},
    image::GrayImage,
    tensor::Tensor,
};

/// What a trace starts from.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TraceRequest {
    /// What the model sees.
    pub image: GrayImage,
    /// The user's turn.
    pub question: String,
    /// The assistant's turn.
    pub answer: String,
    /// Which of its tokens count.
    #[serde(default)]
    pub span: AnswerSpan,
    /// What is wanted.
    pub wants: Vec<Want>,
    /// What gradients are taken of.
    #[serde(default)]
    pub objective: Objective,
    /// Pixel gradients at these inputs instead of at the image.
    #[serde(default)]
    pub path: Option<PixelPath>,
}

impl TraceRequest {
    /// A pass over an answer of which its own tokens count, with gradients of its log-probability.
    pub fn new(
        image: GrayImage,
        question: impl Into<String>,
        answer: impl Into<String>,
        wants: Vec<Want>,
    ) -> Self {
        Self {
            image,
            question: question.into(),
            answer: answer.into(),
            span: AnswerSpan::default(),
            wants,
            objective: Objective::default(),
            path: None,
        }
    }

    /// Lets other tokens count.
    #[must_use]
    pub fn with_span(self, span: AnswerSpan) -> Self {
        Self { span, ..self }
    }

    /// Takes gradients of something else.
    #[must_use]
    pub fn with_objective(self, objective: Objective) -> Self {
        Self { objective, ..self }
    }

    /// Takes pixel gradients along a path.
    #[must_use]
    pub fn with_path(self, path: PixelPath) -> Self {
        Self {
            path: Some(path),
            ..self
        }
    }
}

/// What a gradient is taken of.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Objective {
    /// What is read of the answer's distributions.
    pub quantity: Quantity,
    /// Only these tokens of the answer, counted from its first; all if nothing.
    #[serde(default)]
    pub tokens: Option<Range<usize>>,
}

/// A scalar of the answer's distributions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Quantity {
    /// The sum over tokens of log p (methods: L).
    #[default]
    LogProb,
    /// The mean over tokens of p.
    MeanProbability,
    /// The sum over tokens of the logit, which is log p before its normalisation over the vocabulary.
    Logit,
    /// log p(first) - log p(second) where the answer's first token is predicted; each word counts
    /// by its first token.
    Margin(String, String),
    /// Something that only a later version of this crate knows; no model is asked for it.
    #[serde(untagged, deserialize_with = "super::unknown_to_this_version")]
    Unknown,
}

/// Straight line in pixel space, for integrated gradients: baseline + alpha (image - baseline).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PixelPath {
    /// Where the line begins.
    pub baseline: PixelBaseline,
    /// Where on it the gradient is taken: 0 baseline, 1 image.
    pub alphas: Vec<f64>,
}

/// The beginning of a [`PixelPath`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PixelBaseline {
    /// Zero in the model's own normalised pixel space.
    NormalisedZero,
    /// Another image, prepared as the first.
    Image(GrayImage),
}

/// One thing to capture.
///
/// Written `attention:L`, `attention:L:heads`, `hidden:L`, `features`, `logits`, `gradient:` before
/// `attention:L`, `hidden:L`, `features` or `pixels`, and `relevance:` before `hidden:L` or `features`, with `:cp_lrp`
/// after it for that rule; a negative L counts from the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Want {
    /// Attention probabilities of layer L: the heads' mean (S, S), or each head (heads, S, S).
    Attention {
        /// Decoder layer, negative from the end.
        layer: i64,
        /// Each head, not their mean.
        heads: bool,
    },
    /// The hidden state that enters layer L, (S, hidden); L = number of layers, or -1, is the
    /// state after the final norm.
    Hidden {
        /// State number, negative from the end.
        layer: i64,
    },
    /// The projected image features, (gh gw, hidden), as they enter the decoder.
    Features,
    /// The logits of the sequence's own tokens, (S, S): in row k and column p that of token k where position p
    /// predicts.
    Logits,
    /// The objective's gradient with respect to something.
    Gradient(Wrt),
    /// The objective's relevance, handed down by a modified backward pass: the sum over channels of activation times
    /// modified gradient. Needs [`Ability::Relevance`](crate::Ability::Relevance).
    Relevance {
        /// The hidden state that enters this layer, (S), or the projected image features, (gh gw), if nothing.
        layer: Option<i64>,
        /// How it is handed down.
        rule: RelevanceRule,
    },
}

/// How relevance is handed down through a decoder (Achtibat et al., ICML 2024).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RelevanceRule {
    /// Products share relevance evenly between their factors; attention hands it to queries, keys and values.
    #[default]
    AttnLrp,
    /// Attention weights and gates are constants; attention hands relevance to values alone.
    CpLrp,
}

/// What a gradient is taken with respect to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wrt {
    /// Attention probabilities of a layer, each head: (heads, S, S).
    Attention {
        /// Decoder layer, negative from the end.
        layer: i64,
    },
    /// A hidden state, (S, hidden).
    Hidden {
        /// State number, negative from the end.
        layer: i64,
    },
    /// The projected image features, (gh gw, hidden).
    Features,
    /// The normalised pixels in image layout: (3, H, W), or (A, 3, H, W) along a [`PixelPath`].
    Pixels,
}

impl fmt::Display for Want {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attention {
                layer,
                heads: false,
            } => write!(f, "attention:{layer}"),
            Self::Attention { layer, heads: true } => write!(f, "attention:{layer}:heads"),
            Self::Hidden { layer } => write!(f, "hidden:{layer}"),
            Self::Features => write!(f, "features"),
            Self::Logits => write!(f, "logits"),
            Self::Gradient(Wrt::Attention { layer }) => write!(f, "gradient:attention:{layer}"),
            Self::Gradient(Wrt::Hidden { layer }) => write!(f, "gradient:hidden:{layer}"),
            Self::Gradient(Wrt::Features) => write!(f, "gradient:features"),
            Self::Gradient(Wrt::Pixels) => write!(f, "gradient:pixels"),
            Self::Relevance { layer, rule } => {
                match layer {
                    Some(layer) => write!(f, "relevance:hidden:{layer}"),
                    None => write!(f, "relevance:features"),
                }?;
                match rule {
                    RelevanceRule::AttnLrp => Ok(()),
                    RelevanceRule::CpLrp => write!(f, ":cp_lrp"),
                }
            }
        }
    }
}

impl FromStr for Want {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            Error::invalid(format!("`{text}` is nothing a model can show")).with_hint(
                "write attention:L, attention:L:heads, hidden:L, features, logits, gradient: before attention:L, hidden:L, features or pixels, or relevance: before hidden:L or features",
            )
        };
        let number = |text: &str| text.parse::<i64>().map_err(|_| wrong());
        if let Some(of) = text.strip_prefix("relevance:") {
            let (of, rule) = match of.strip_suffix(":cp_lrp") {
                Some(of) => (of, RelevanceRule::CpLrp),
                None => (of, RelevanceRule::AttnLrp),
            };
            let layer = match of {
                "features" => None,
                "pixels" => {
                    return Err(Error::unsupported(
                        "relevance is handed down to the image features, not through the image tower to the pixels",
                    ));
                }
                of => Some(number(of.strip_prefix("hidden:").ok_or_else(wrong)?)?),
            };
            return Ok(Self::Relevance { layer, rule });
        }
        let parts: Vec<_> = text.split(':').collect();
        Ok(match parts[..] {
            ["attention", layer] => Self::Attention {
                layer: number(layer)?,
                heads: false,
            },
            ["attention", layer, "heads"] => Self::Attention {
                layer: number(layer)?,
                heads: true,
            },
            ["hidden", layer] => Self::Hidden {
                layer: number(layer)?,
            },
            ["features"] => Self::Features,
            ["logits"] => Self::Logits,
            ["gradient", "attention", layer] => Self::Gradient(Wrt::Attention {
                layer: number(layer)?,
            }),
            ["gradient", "hidden", layer] => Self::Gradient(Wrt::Hidden {
                layer: number(layer)?,
            }),
            ["gradient", "features"] => Self::Gradient(Wrt::Features),
            ["gradient", "pixels"] => Self::Gradient(Wrt::Pixels),
            _ => return Err(wrong()),
        })
    }
}

impl Serialize for Want {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Want {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

/// What was captured.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Trace {
    /// Where everything lies.
    pub layout: Layout,
    /// What was wanted, in the order asked.
    pub captures: Vec<Capture>,
    /// Log-probability of each answer token on the image: (T), f32.
    pub log_probs: Tensor,
    /// The objective on the image.
    pub objective: f64,
    /// The normalised pixels: (3, H, W), f32.
    pub pixel_values: Tensor,
    /// Along a [`PixelPath`]: the normalised pixels of the baseline, (3, H, W), f32.
    #[serde(default)]
    pub baseline_values: Option<Tensor>,
    /// Along a [`PixelPath`]: the objective at the baseline.
    #[serde(default)]
    pub baseline_objective: Option<f64>,
}

impl Trace {
    /// A pass over an image, without a path: set the baseline's fields along one.
    pub fn new(
        layout: Layout,
        captures: Vec<Capture>,
        log_probs: Tensor,
        objective: f64,
        pixel_values: Tensor,
    ) -> Self {
        Self {
            layout,
            captures,
            log_probs,
            objective,
            pixel_values,
            baseline_values: None,
            baseline_objective: None,
        }
    }

    /// The captured tensor.
    ///
    /// # Errors
    ///
    /// [`Error::protocol`] if the model left it out.
    pub fn capture(&self, want: Want) -> Result<&Tensor> {
        self.captures
            .iter()
            .find(|capture| capture.want == want)
            .map(|capture| &capture.tensor)
            .ok_or_else(|| {
                Error::protocol(format!(
                    "the model was asked for {want} and did not give it"
                ))
            })
    }
}

/// One captured tensor, f32.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Capture {
    /// What was asked for, as it was asked.
    pub want: Want,
    /// Its values.
    pub tensor: Tensor,
}

/// Where image and answer lie in the sequence of S tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Layout {
    /// All S token numbers.
    pub input_ids: Vec<u32>,
    /// Positions of the image tokens, row by row over the grid.
    pub image_positions: Vec<usize>,
    /// Rows and columns of image tokens.
    pub grid: (u32, u32),
    /// Positions of the answer's tokens; token t is predicted by row t - 1.
    pub answer: Range<usize>,
    /// The answer's tokens.
    pub tokens: Vec<Token>,
}

impl Layout {
    /// A sequence that holds an image and an answer.
    pub fn new(
        input_ids: Vec<u32>,
        image_positions: Vec<usize>,
        grid: (u32, u32),
        answer: Range<usize>,
        tokens: Vec<Token>,
    ) -> Self {
        Self {
            input_ids,
            image_positions,
            grid,
            answer,
            tokens,
        }
    }

    /// The rows that predict the answer: one before each of its tokens.
    pub fn predicting_rows(&self) -> Range<usize> {
        self.answer.start.saturating_sub(1)..self.answer.end.saturating_sub(1)
    }
}

impl Trace {
    /// Refuses values that are no numbers.
    pub(super) fn checked(self) -> Result<Self> {
        numbers::log_probs(&self.log_probs)?;
        numbers::check(self.objective.is_finite(), "objective values")?;
        numbers::tensor(&self.pixel_values, "pixel values")?;
        for capture in &self.captures {
            numbers::tensor(&capture.tensor, &format!("values of {}", capture.want))?;
        }
        let baseline = self.baseline_objective.is_none_or(f64::is_finite);
        numbers::check(baseline, "objective values at the baseline")?;
        if let Some(values) = &self.baseline_values {
            numbers::tensor(values, "pixel values of the baseline")?;
        }
        Ok(self)
    }
}
