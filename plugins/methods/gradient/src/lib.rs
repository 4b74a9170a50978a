//! Attribution by gradients inside the model.
#![deny(unsafe_code)]

mod activations;
mod gradcam;

pub use activations::Activations;
pub use gradcam::{GradCam, GradCamParams, Span, Target};

medfocus_plugin_api::export_plugin! {
    method GradCam;
}
