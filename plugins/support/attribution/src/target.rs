//! The scalar that is explained.

use std::ops::Range;

use medfocus_plugin_api::{self as api, AnswerSpan, Error, Objective, Result, Task, choices};
use ndarray::ArrayView1;

choices! {
    /// What is read of the answer's distributions.
    pub enum Quantity {
        /// The sum of the tokens' log-probabilities: L, the log-probability of the answer.
        LogProb = "log_prob",
        /// The mean of the tokens' probabilities.
        MeanProbability = "mean_probability",
        /// log p(Yes) - log p(No) where the answer's first token is predicted.
        Margin = "margin",
    }
}

choices! {
    /// Which tokens count as the answer.
    pub enum Span {
        /// The answer's own.
        Answer = "answer",
        /// These and the ones that close the turn, as the published code counts.
        Turn = "turn",
    }
}

/// The words of [`Quantity::Margin`]: for, against.
pub(crate) const MARGIN: [&str; 2] = ["Yes", "No"];

/// What a method's parameters say is explained, whatever the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aim {
    quantity: Quantity,
    span: Span,
    tokens: Tokens,
}

/// Which of the answer's tokens a parameter names.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Tokens {
    All,
    /// Counted from the first, the last not included.
    Range(Range<usize>),
    /// Those of its last yes or no.
    Verdict,
}

impl Aim {
    /// An aim from a method's parameters; `tokens` is `FROM..TO`, the last not included, `verdict`, or empty for all.
    ///
    /// # Errors
    ///
    /// [`Error::invalid`] if `tokens` is none of these, or is given with the margin, which reads the first token's place.
    pub fn new(quantity: Quantity, span: Span, tokens: &str) -> Result<Self> {
        let tokens = match tokens.trim() {
            "" => Tokens::All,
            "verdict" => Tokens::Verdict,
            text => Tokens::Range(range(text).ok_or_else(|| {
                Error::invalid(format!(
                    "parameter `tokens`: `{text}` is no range of tokens"
                ))
                .with_hint(
                    "write FROM..TO with FROM below TO, as 0..3 for the first three, or `verdict`",
                )
            })?),
        };
        if quantity == Quantity::Margin && tokens != Tokens::All {
            return Err(Error::invalid(
                "parameter `tokens` does not go with target `margin`, which reads the place of the first token",
            ));
        }
        Ok(Self {
            quantity,
            span,
            tokens,
        })
    }

    /// The aim itself, unless maps of single tokens are wanted of it and it has none.
    ///
    /// # Errors
    ///
    /// [`Error::invalid`] for a margin with `per_token`.
    pub fn with_maps(self, per_token: bool) -> Result<Self> {
        if per_token && self.quantity == Quantity::Margin {
            return Err(Error::invalid(
                "parameter `per_token` does not go with target `margin`, which reads the place of the first token",
            ));
        }
        Ok(self)
    }

    /// What is explained of this answer.
    ///
    /// # Errors
    ///
    /// [`Error::missing`] if the answer's last yes or no is wanted, and there is none or the host does not say which tokens
    /// there are.
    pub fn of(&self, task: &Task) -> Result<Target> {
        Ok(Target {
            quantity: self.quantity,
            span: self.span,
            tokens: match &self.tokens {
                Tokens::All => None,
                Tokens::Range(range) => Some(range.clone()),
                Tokens::Verdict => Some(verdict(&task.tokens)?),
            },
        })
    }
}

/// The tokens of the last yes or no of an answer.
fn verdict(tokens: &[String]) -> Result<Range<usize>> {
    let text = tokens.concat();
    let mut words = text.split(|c: char| !c.is_alphanumeric()).rev();
    let word = words.find(|word| MARGIN.iter().any(|said| word.eq_ignore_ascii_case(said)));
    let word = word.ok_or_else(|| {
        Error::missing(if tokens.is_empty() {
            "`tokens = \"verdict\"` needs the answer's tokens, which the model does not show"
        } else {
            "`tokens = \"verdict\"`: the answer says neither yes nor no"
        })
    })?;
    // It is a part of the text.
    let from = word.as_ptr() as usize - text.as_ptr() as usize;
    let begins = tokens.iter().scan(0, |at, token| {
        let begin = *at;
        *at += token.len();
        Some(begin)
    });
    let begins: Vec<usize> = begins.collect();
    let first = begins.partition_point(|&begin| begin <= from) - 1;
    let end = begins.partition_point(|&begin| begin < from + word.len());
    Ok(first..end)
}

/// The scalar that is explained: a quantity of some of the answer's tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// What is read.
    pub quantity: Quantity,
    /// Which tokens count as the answer.
    pub span: Span,
    /// Of which of them, counted from the answer's first; all if nothing.
    pub tokens: Option<Range<usize>>,
}

impl Target {
    /// The same quantity of token `t` alone.
    pub fn of_token(&self, t: usize) -> Self {
        Self {
            tokens: Some(t..t + 1),
            ..self.clone()
        }
    }

    /// What a model's trace takes gradients of.
    pub fn objective(&self) -> Objective {
        Objective {
            quantity: match self.quantity {
                Quantity::LogProb => api::Quantity::LogProb,
                Quantity::MeanProbability => api::Quantity::MeanProbability,
                Quantity::Margin => {
                    let [yes, no] = MARGIN.map(str::to_owned);
                    api::Quantity::Margin(yes, no)
                }
            },
            tokens: self.tokens.clone(),
        }
    }

    /// The chosen of `count` tokens.
    ///
    /// # Errors
    ///
    /// [`Error::invalid`] if the answer has fewer.
    pub fn chosen(&self, count: usize) -> Result<Range<usize>> {
        match &self.tokens {
            None => Ok(0..count),
            Some(tokens) if tokens.end <= count => Ok(tokens.clone()),
            Some(tokens) => Err(Error::invalid(format!(
                "parameter `tokens` reads tokens {} to {}, but the answer has {count}",
                tokens.start, tokens.end
            ))),
        }
    }

    /// The scalar of one answer, given the log-probabilities of its tokens (T). A margin is not among these:
    /// [`Scorer`](crate::Scorer) reads it.
    ///
    /// # Errors
    ///
    /// [`Error::invalid`] if chosen tokens are missing, [`Error::protocol`] if the scalar is not finite.
    pub fn read(&self, log_probs: ArrayView1<'_, f32>) -> Result<f64> {
        let chosen = self.chosen(log_probs.len())?;
        let count = chosen.len() as f64;
        let chosen = chosen.map(|t| f64::from(log_probs[t]));
        let value = match self.quantity {
            Quantity::MeanProbability => chosen.map(f64::exp).sum::<f64>() / count,
            Quantity::LogProb | Quantity::Margin => chosen.sum(),
        };
        if value.is_finite() {
            Ok(value)
        } else {
            Err(Error::protocol(format!(
                "the model scored the answer as {value}"
            )))
        }
    }
}

fn range(text: &str) -> Option<Range<usize>> {
    let (from, to) = text.split_once("..")?;
    let (from, to) = (from.trim().parse().ok()?, to.trim().parse().ok()?);
    (from < to).then_some(from..to)
}

impl From<Span> for AnswerSpan {
    fn from(span: Span) -> Self {
        match span {
            Span::Answer => Self::Answer,
            Span::Turn => Self::Turn,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use medfocus_plugin_api::{GrayImage, Letterbox};
    use ndarray::{Array2, array};

    fn aim(quantity: Quantity, tokens: &str) -> Aim {
        Aim::new(quantity, Span::Answer, tokens).unwrap()
    }

    fn target(quantity: Quantity, tokens: &str) -> Target {
        aim(quantity, tokens).of(&said(&[])).unwrap()
    }

    /// The task of explaining an answer of these tokens.
    fn said(tokens: &[&str]) -> Task {
        let image = GrayImage::from_array(Array2::zeros((224, 224))).unwrap();
        let letterbox = Letterbox::new(224, 224, 224).unwrap();
        let mut task = Task::new(image.clone(), image, letterbox, "", tokens.concat());
        task.tokens = tokens.iter().map(|&token| token.to_owned()).collect();
        task
    }

    #[test]
    fn the_verdict_is_the_last_yes_or_no() {
        let verdict = |tokens: &[&str]| aim(Quantity::LogProb, "verdict").of(&said(tokens));
        for (tokens, range) in [
            (&["No"][..], 0..1),
            (&["Yes", ".", "\n"], 0..1),
            (&["No", "dule", ":", " y", "es", "."], 3..5),
            (&["Yes", "?", " The", " answer", " is", " no", "."], 5..6),
            (&["**N", "O**"], 0..2),
        ] {
            let target = verdict(tokens).unwrap();
            assert_eq!(target.tokens, Some(range), "{tokens:?}");
        }
        for (tokens, words) in [(&["None"][..], "neither"), (&[], "does not show")] {
            let error = verdict(tokens).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn quantities_are_read_of_the_chosen_tokens() {
        let log_probs = array![0.5f32.ln(), 0.25f32.ln(), 0.125f32.ln()];
        let read = |target: Target| target.read(log_probs.view()).unwrap();
        let near = |a: f64, b: f64| (a - b).abs() < 1e-6;
        assert!(near(
            read(target(Quantity::LogProb, "")),
            (1.0f64 / 64.0).ln()
        ));
        assert!(near(
            read(target(Quantity::LogProb, "1..3")),
            (1.0f64 / 32.0).ln()
        ));
        assert!(near(
            read(target(Quantity::MeanProbability, "")),
            0.875 / 3.0
        ));
        assert!(near(
            read(target(Quantity::MeanProbability, " 0 .. 2 ")),
            0.375
        ));
        assert!(near(
            read(target(Quantity::LogProb, "").of_token(2)),
            0.125f64.ln()
        ));
    }

    #[test]
    fn wrong_tokens_are_refused() {
        for text in ["3", "2..2", "3..1", "-1..2", "a..b", ".."] {
            let error = Aim::new(Quantity::LogProb, Span::Answer, text).unwrap_err();
            assert!(error.to_string().contains("no range of tokens"), "{error}");
        }
        for tokens in ["0..1", "verdict"] {
            assert!(Aim::new(Quantity::Margin, Span::Answer, tokens).is_err());
        }
        let margin = aim(Quantity::Margin, "");
        assert_eq!(margin.clone().with_maps(false).unwrap(), margin);
        assert!(margin.with_maps(true).is_err());
        assert!(aim(Quantity::LogProb, "0..1").with_maps(true).is_ok());
        let beyond = target(Quantity::LogProb, "1..4").read(array![-1.0, -1.0, -1.0].view());
        assert!(beyond.unwrap_err().to_string().contains("the answer has 3"));
        let infinite = target(Quantity::LogProb, "").read(array![f32::NEG_INFINITY].view());
        assert!(infinite.is_err());
    }
}
