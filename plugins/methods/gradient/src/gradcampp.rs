//! Grad-CAM++ (Chattopadhay et al., WACV 2018) on the image tokens of a vision-language model.

use medfocus_attribution::{Aim, Quantity, Span};
use medfocus_plugin_api::{
    Ability, Attribution, AttributionMethod, Component, Context, Result, Slot, Task, params,
};
use ndarray::{Array1, Axis, Zip};

use crate::{
    Activations,
    cam::{Cam, relu},
};

params! {
    /// Parameters of [`GradCamPlusPlus`].
    pub struct GradCamPlusPlusParams {
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
        /// Added to the denominator of each alpha, as published. It drowns gradients well below its root; 0 leaves it out, and what a small gradient weighs no longer depends on the number format.
        pub epsilon: f64 = 1e-8, in 0..=1;
    }
}

/// Grad-CAM++: as [`GradCam`](crate::GradCam), but each token's gradient has a weight of its own, and only gradients
/// that raise the answer count. With g_{i,d} = dL/dh_{i,d} at image token i and channel d,
///
/// alpha_{i,d} = g_{i,d}^2 / (2 g_{i,d}^2 + (sum over j of h_{j,d}) g_{i,d}^3 + epsilon),
/// w_d = sum over i of alpha_{i,d} relu(g_{i,d}), heat_i = relu(sum over d of w_d h_{i,d}).
///
/// The alphas are those of a score exp(L), whose higher derivatives are powers of g. The published epsilon of 1e-8, there
/// against 0 / 0, is not small beside the square of a gradient under 1e-4: such a gradient g weighs as its cube. With an epsilon of 0
/// its alpha is 1 / 2, and the map keeps its shape however small the gradients are. On the layer see [`GradCam`](crate::GradCam).
pub struct GradCamPlusPlus {
    context: Context,
    params: GradCamPlusPlusParams,
    aim: Aim,
}

impl Component for GradCamPlusPlus {
    const NAME: &'static str = "gradcampp";
    const SUMMARY: &'static str =
        "Grad-CAM++ on the image tokens (Chattopadhay et al., WACV 2018); one traced pass.";
    const SLOTS: &'static [Slot] = &[Slot::model(&[Ability::Trace, Ability::Gradient])];
    type Params = GradCamPlusPlusParams;

    fn new(params: GradCamPlusPlusParams, context: Context) -> Result<Self> {
        let aim = Aim::new(params.target, params.answer_span, &params.tokens)?;
        Ok(Self {
            aim: aim.with_maps(params.per_token)?,
            context,
            params,
        })
    }
}

impl AttributionMethod for GradCamPlusPlus {
    fn attribute(&self, task: &Task) -> Result<Attribution> {
        let target = self.aim.of(task)?;
        let cam = Cam {
            context: &self.context,
            task,
            target: &target,
            layer: self.params.layer,
            weights: &|activations| weights(activations, self.params.epsilon as f32),
        };
        cam.explain(self.params.per_token)
    }
}

/// w_d of each channel.
fn weights(activations: &Activations, epsilon: f32) -> Array1<f32> {
    let sums = activations.values.sum_axis(Axis(0));
    let mut weights = Array1::zeros(sums.len());
    for gradients in activations.gradients.rows() {
        Zip::from(&mut weights)
            .and(&sums)
            .and(gradients)
            .for_each(|weight, &sum, &g| {
                // The formula divided by g^2, which would vanish in f32 where g does not.
                let g = relu(g);
                if g != 0.0 {
                    *weight += g / (2.0 + sum * g + epsilon / g / g);
                }
            });
    }
    weights
}
