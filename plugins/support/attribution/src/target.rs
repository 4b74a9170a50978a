//! The scalar that is explained.

use std::ops::Range;

use medfocus_plugin_api::{self as api, AnswerSpan, Error, Objective, Result, choices};
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
    /// A target from a method's parameters; `tokens` is `FROM..TO`, the last not included, or empty for all.
    ///
    /// # Errors
    ///
    /// [`Error::invalid`] if `tokens` is neither, or is given with the margin, which reads the first token's place.
    pub fn new(quantity: Quantity, span: Span, tokens: &str) -> Result<Self> {
        let tokens = match tokens.trim() {
            "" => None,
            text => Some(range(text).ok_or_else(|| {
                Error::invalid(format!(
                    "parameter `tokens`: `{text}` is no range of tokens"
                ))
                .with_hint("write FROM..TO with FROM below TO, as 0..3 for the first three")
            })?),
        };
        if quantity == Quantity::Margin && tokens.is_some() {
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

    /// The target itself, unless maps of single tokens are wanted of it and it has none.
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
    use ndarray::array;

    fn target(quantity: Quantity, tokens: &str) -> Target {
        Target::new(quantity, Span::Answer, tokens).unwrap()
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
            let error = Target::new(Quantity::LogProb, Span::Answer, text).unwrap_err();
            assert!(error.to_string().contains("no range of tokens"), "{error}");
        }
        assert!(Target::new(Quantity::Margin, Span::Answer, "0..1").is_err());
        let margin = target(Quantity::Margin, "");
        assert_eq!(margin.clone().with_maps(false).unwrap(), margin);
        assert!(margin.with_maps(true).is_err());
        assert!(target(Quantity::LogProb, "0..1").with_maps(true).is_ok());
        let beyond = target(Quantity::LogProb, "1..4").read(array![-1.0, -1.0, -1.0].view());
        assert!(beyond.unwrap_err().to_string().contains("the answer has 3"));
        let infinite = target(Quantity::LogProb, "").read(array![f32::NEG_INFINITY].view());
        assert!(infinite.is_err());
    }
}
