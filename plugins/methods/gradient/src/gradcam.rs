//! Grad-CAM (Selvaraju et al., ICCV 2017, equations 1 and 2) on the image tokens of a vision-language model.

use medfocus_attribution::{Aim, Quantity, Span};
use medfocus_plugin_api::{
    Ability, Attribution, AttributionMethod, Component, Context, Result, Slot, Task, params,
};
use ndarray::{Array1, Axis};

use crate::{Activations, cam::Cam};

params! {
    /// Parameters of [`GradCam`].
    pub struct GradCamParams {
        /// Decoder layer whose incoming state is read, negative from the end; -1, after the last layer, is the published choice and degenerate. Absent: the projected image features.
        pub layer: Option<i64> = null;
        /// What is explained.
        pub target: Quantity = "log_prob";
        /// Which tokens count as the answer.
        pub answer_span: Span = "answer";
        /// Only these tokens of the answer, as `0..3`, counted from its first, or `verdict`, its last yes or no; all if empty.
        pub tokens: String = "";
        /// Also a map for each answer token: one more trace for each.
        pub per_token: bool = false;
    }
}

/// Grad-CAM: how much the answer depends on each channel, on average over the image, weighs where the channel is
/// active. With L the target, i an image token and d a channel of the hidden state h,
///
/// w_d = mean over i of dL/dh_{i,d}, heat_i = relu(sum over d of w_d h_{i,d}).
///
/// The published code reads the state after the last decoder layer (`layer = -1`). Nothing attends to image tokens
/// there, so their gradient is exactly zero and so is the map; by default h is what enters the decoder instead.
pub struct GradCam {
    context: Context,
    params: GradCamParams,
    aim: Aim,
}

impl Component for GradCam {
    const NAME: &'static str = "gradcam";
    const SUMMARY: &'static str =
        "Grad-CAM on the image tokens (Selvaraju et al., ICCV 2017); one traced pass.";
    const SLOTS: &'static [Slot] = &[Slot::model(&[Ability::Trace, Ability::Gradient])];
    type Params = GradCamParams;

    fn new(params: GradCamParams, context: Context) -> Result<Self> {
        let aim = Aim::new(params.target, params.answer_span, &params.tokens)?;
        Ok(Self {
            aim: aim.with_maps(params.per_token)?,
            context,
            params,
        })
    }
}

impl AttributionMethod for GradCam {
    fn attribute(&self, task: &Task) -> Result<Attribution> {
        let target = self.aim.of(task)?;
        let cam = Cam {
            context: &self.context,
            task,
            target: &target,
            layer: self.params.layer,
            weights: &weights,
        };
        cam.explain(self.params.per_token)
    }
}

/// w_d of each channel.
fn weights(activations: &Activations) -> Array1<f32> {
    activations.gradients.sum_axis(Axis(0)) / activations.gradients.nrows() as f32
}
