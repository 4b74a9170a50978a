//! What makes an answer well-formed, whatever the kind.

use crate::{
    error::Error,
    frame::{BBox, Frame, WORKING_SIDE},
    image::Mask,
    protocol::method::ScoredBox,
    tensor::Tensor,
};

/// Says which operation failed.
pub(super) fn fails(op: &str) -> impl Fn(Error) -> String {
    move |error| format!("`{op}` fails: {error}")
}

/// The box lies in an image of that size.
pub(super) fn inside<F: Frame>(bbox: &BBox<F>, width: u32, height: u32) -> Result<(), String> {
    match bbox.clip(width, height) == Some(*bbox) {
        true => Ok(()),
        false => Err(format!(
            "the box {bbox:?} does not lie in the image of {width} x {height} pixels"
        )),
    }
}

/// The box lies in the working image. (A score that is no number does not come through a message.)
pub(super) fn scored(found: &ScoredBox) -> Result<(), String> {
    inside(&found.bbox, WORKING_SIDE, WORKING_SIDE)
}

/// The mask has that size.
pub(super) fn sized(mask: &Mask, width: u32, height: u32) -> Result<(), String> {
    match (mask.width(), mask.height()) == (width, height) {
        true => Ok(()),
        false => Err(format!(
            "a mask has {} x {} pixels, not {width} x {height}",
            mask.width(),
            mask.height()
        )),
    }
}

/// The tensor has that shape and finite values of type f32.
pub(super) fn shaped(tensor: &Tensor, shape: &[usize], what: &str) -> Result<(), String> {
    if tensor.shape() != shape {
        return Err(format!(
            "{what} has shape {:?}, not {shape:?}",
            tensor.shape()
        ));
    }
    let values = tensor
        .view::<f32>()
        .map_err(|error| format!("{what}: {error}"))?;
    match values.iter().all(|value| value.is_finite()) {
        true => Ok(()),
        false => Err(format!("{what} holds values that are no numbers")),
    }
}
