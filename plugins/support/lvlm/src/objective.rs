//! The scalar that gradients are taken of, and the log-probabilities behind it.

use std::ops::Range;

use medfocus_plugin_api::{Objective, Quantity};
use medfocus_torch::interop;
use medfocus_torch::tch::{Kind, Tensor};

use crate::network::Network;
use crate::prompt::{Answered, Prompter};
use crate::{Error, Result};

/// An objective with its words and tokens resolved.
#[derive(Debug)]
pub(crate) struct Target {
    quantity: Resolved,
    tokens: Range<i64>,
}

#[derive(Debug)]
enum Resolved {
    LogProb,
    MeanProbability,
    Logit,
    Margin(i64, i64),
}

/// Log-probabilities of an answer on a batch of images.
pub(crate) struct Scored {
    /// Of each answer token, `[batch, T]`, f32.
    pub answer: Tensor,
    /// The logit of each, before the normalisation over the vocabulary, `[batch, T]`, f32.
    logits: Tensor,
    /// The whole distribution of the first answer token, `[batch, vocabulary]`, f32.
    first: Tensor,
}

impl Scored {
    /// Projects only the predicting rows of final hidden states `[batch, tokens, hidden]`.
    pub fn new<N: Network>(network: &N, finished: &Tensor, answered: &Answered) -> Result<Self> {
        let Range { start, end } = answered.answer;
        let count = (end - start) as i64;
        let rows = finished.f_narrow(1, start as i64 - 1, count)?;
        let logits = network.logits(&rows)?;
        let log_probs = logits.f_log_softmax(-1, Kind::Float)?;
        let batch = log_probs.size3()?.0;
        let ids = interop::upload(&answered.ids[start..end], log_probs.device())?
            .f_reshape([1, count, 1])?
            .f_expand([batch, count, 1], false)?;
        let of_answer = |all: &Tensor| all.f_gather(2, &ids, false)?.f_squeeze_dim(2);
        Ok(Self {
            answer: of_answer(&log_probs)?,
            logits: of_answer(&logits)?.f_to_kind(Kind::Float)?,
            first: log_probs.f_select(1, 0)?,
        })
    }
}

impl Target {
    /// Checks an objective against the answer it is about.
    pub fn new(objective: &Objective, answered: &Answered, prompter: &Prompter) -> Result<Self> {
        let count = answered.answer.len();
        let tokens = objective.tokens.clone().unwrap_or(0..count);
        if tokens.start >= tokens.end || tokens.end > count {
            return Err(Error::Request(format!(
                "the objective reads answer tokens {} to {}, but the answer has {count}",
                tokens.start, tokens.end
            )));
        }
        let quantity = match &objective.quantity {
            Quantity::LogProb => Resolved::LogProb,
            Quantity::MeanProbability => Resolved::MeanProbability,
            Quantity::Logit => Resolved::Logit,
            Quantity::Margin(for_word, against) => {
                let (a, b) = (
                    prompter.first_token(for_word)?,
                    prompter.first_token(against)?,
                );
                if a == b {
                    return Err(Error::Request(format!(
                        "{for_word:?} and {against:?} begin with the same token, so their margin is always 0"
                    )));
                }
                Resolved::Margin(a, b)
            }
            other => {
                return Err(Error::Request(format!(
                    "this model takes no gradients of {other:?}"
                )));
            }
        };
        Ok(Self {
            quantity,
            tokens: tokens.start as i64..tokens.end as i64,
        })
    }

    /// Its value on each image, `[batch]`.
    pub fn value(&self, scored: &Scored) -> Result<Tensor> {
        let chosen =
            |of: &Tensor| of.f_narrow(1, self.tokens.start, self.tokens.end - self.tokens.start);
        let sum = |of: &Tensor| chosen(of)?.f_sum_dim_intlist(-1, false, None);
        Ok(match self.quantity {
            Resolved::LogProb => sum(&scored.answer)?,
            Resolved::Logit => sum(&scored.logits)?,
            Resolved::MeanProbability => chosen(&scored.answer)?
                .f_exp()?
                .f_mean_dim(-1, false, None)?,
            Resolved::Margin(a, b) => scored
                .first
                .f_select(1, a)?
                .f_sub(&scored.first.f_select(1, b)?)?,
        })
    }
}
