//! What a model computed must be numbers: NaN and infinities are refused where they leave it.

use crate::{
    error::{Error, Result},
    tensor::Tensor,
};

/// Log-probabilities; -inf is a number, too: the logarithm of probability 0.
pub(super) fn log_probs(values: &Tensor) -> Result<()> {
    let number = |value: &f32| value.is_finite() || *value == f32::NEG_INFINITY;
    check(all(values, number), "log-probabilities")
}

/// Finite values.
pub(super) fn tensor(values: &Tensor, what: &str) -> Result<()> {
    check(all(values, |value| value.is_finite()), what)
}

/// Values of another type than f32 are the reader's to refuse.
fn all(values: &Tensor, holds: impl FnMut(&f32) -> bool) -> bool {
    values
        .view::<f32>()
        .map_or(true, |view| view.iter().all(holds))
}

/// Refuses what was found not to be finite.
pub(super) fn check(finite: bool, what: &str) -> Result<()> {
    if finite {
        return Ok(());
    }
    Err(Error::protocol(format!(
        "the model's {what} are not numbers (NaN or infinite): its weights are damaged, or its number format is too narrow"
    ))
    .with_hint("get the checkpoint again, or set `dtype` to f32"))
}
