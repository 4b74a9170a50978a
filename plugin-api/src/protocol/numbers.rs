//! What a model computed must be numbers: NaN and infinities are refused where they leave it.

use super::model::{Generation, Scores, Trace};
use crate::{
    error::{Error, Result},
    tensor::Tensor,
};

/// An answer whose log-probabilities are finite.
pub(super) fn generation(generation: Generation) -> Result<Generation> {
    let finite = generation.log_probs.iter().all(|value| value.is_finite());
    check(finite, "log-probabilities")?;
    Ok(generation)
}

/// Scores that are numbers; -inf is one, the logarithm of probability 0.
pub(super) fn scores(scores: Scores) -> Result<Scores> {
    log_probs(&scores.log_probs)?;
    Ok(scores)
}

/// A trace whose values are finite, but for the logarithm of probability 0.
pub(super) fn trace(trace: Trace) -> Result<Trace> {
    log_probs(&trace.log_probs)?;
    check(trace.objective.is_finite(), "objective values")?;
    tensor(&trace.pixel_values, "pixel values")?;
    for capture in &trace.captures {
        tensor(&capture.tensor, &format!("values of {}", capture.want))?;
    }
    let baseline = trace.baseline_objective.is_none_or(f64::is_finite);
    check(baseline, "objective values at the baseline")?;
    if let Some(values) = &trace.baseline_values {
        tensor(values, "pixel values of the baseline")?;
    }
    Ok(trace)
}

fn log_probs(values: &Tensor) -> Result<()> {
    let number = |value: &f32| value.is_finite() || *value == f32::NEG_INFINITY;
    check(all(values, number), "log-probabilities")
}

fn tensor(values: &Tensor, what: &str) -> Result<()> {
    check(all(values, |value| value.is_finite()), what)
}

/// Values of another type than f32 are the reader's to refuse.
fn all(values: &Tensor, holds: impl FnMut(&f32) -> bool) -> bool {
    values
        .view::<f32>()
        .map_or(true, |view| view.iter().all(holds))
}

fn check(finite: bool, what: &str) -> Result<()> {
    if finite {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "the model's {what} are not numbers (NaN or infinite): its weights are damaged, or its number format is too narrow"
    ))
    .with_hint("get the checkpoint again, or set `dtype` to f32"))
}
