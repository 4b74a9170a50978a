//! Attention maps and their gradients as a model hands them over, checked and left where they lie.

use medfocus_attribution::Span;
use medfocus_plugin_api::{Error, Objective, Result, Task, Trace, TraceRequest, Want};
use ndarray::{ArrayView, Dimension};

/// Asks for one pass over a task's own answer.
pub(crate) fn request(
    task: &Task,
    span: Span,
    wants: Vec<Want>,
    objective: Objective,
) -> TraceRequest {
    TraceRequest::new(
        task.image.clone(),
        task.question.clone(),
        task.answer.clone(),
        wants,
    )
    .with_span(span.into())
    .with_objective(objective)
}

/// What was captured, of exactly this shape: attention weights are finite and not negative, anything else is finite.
///
/// # Errors
///
/// [`Error::protocol`] naming the capture, if it was left out or is anything else.
pub(crate) fn read<D: Dimension>(
    trace: &Trace,
    want: Want,
    shape: D,
) -> Result<ArrayView<'_, f32, D>> {
    let capture = trace.capture(want)?;
    if capture.shape() != shape.slice() {
        return Err(Error::protocol(format!(
            "the model gave {want} the shape {:?}, not {:?}",
            capture.shape(),
            shape.slice()
        )));
    }
    let values = capture
        .view_nd::<f32, D>()
        .map_err(|error| error.context(want))?;
    let least = match want {
        Want::Attention { .. } => 0.0,
        _ => f32::MIN,
    };
    match values.iter().find(|v| !(v.is_finite() && **v >= least)) {
        None => Ok(values),
        Some(value) => Err(Error::protocol(format!(
            "the model's {want} holds the value {value}"
        ))),
    }
}
