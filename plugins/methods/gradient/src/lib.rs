//! Attribution by gradients inside the model.
mod activations;
mod cam;
mod gradcam;
mod gradcampp;
mod integrated_gradients;
mod path;
mod shrink;

pub use activations::Activations;
pub use gradcam::{GradCam, GradCamParams};
pub use gradcampp::{GradCamPlusPlus, GradCamPlusPlusParams};
pub use integrated_gradients::{IntegratedGradients, IntegratedGradientsParams, Start};
pub use path::Rule;

medfocus_plugin_api::export_plugin! {
    method GradCam;
    method GradCamPlusPlus;
    method IntegratedGradients;
}
