//! Grad-CAM (Selvaraju et al., ICCV 2017, equations 1 and 2) on the image tokens of a vision-language model.

use medfocus_plugin_api::{
    Ability, AnswerSpan, Attribution, AttributionMethod, Component, Context, HeatMap, Objective,
    Quantity, Result, Slot, Task, TraceRequest, VisionLanguageModel, choices, params,
};
use ndarray::{Array1, Axis};

use crate::Activations;

choices! {
    /// What the gradient is taken of.
    pub enum Target {
        /// The sum of the answer tokens' log-probabilities.
        LogProb = "log_prob",
        /// The mean of the answer tokens' probabilities.
        MeanProbability = "mean_probability",
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

params! {
    /// Parameters of [`GradCam`].
    pub struct GradCamParams {
        /// Decoder layer whose incoming state is read, negative from the end; -1, after the last layer, is the published choice and degenerate. Absent: the projected image features.
        pub layer: Option<i64> = null;
        /// What the gradient is taken of.
        pub target: Target = "log_prob";
        /// Which tokens count as the answer.
        pub answer_span: Span = "answer";
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
}

impl Component for GradCam {
    const NAME: &'static str = "gradcam";
    const SUMMARY: &'static str =
        "Grad-CAM on the image tokens (Selvaraju et al., ICCV 2017); one traced pass.";
    const SLOTS: &'static [Slot] = &[Slot::model(&[Ability::Trace, Ability::Gradient])];
    type Params = GradCamParams;

    fn new(params: GradCamParams, context: Context) -> Result<Self> {
        Ok(Self { context, params })
    }
}

impl AttributionMethod for GradCam {
    fn attribute(&self, task: &Task) -> Result<Attribution> {
        let trace = self.context.model().trace(&TraceRequest {
            image: task.image.clone(),
            question: task.question.clone(),
            answer: task.answer.clone(),
            span: self.params.answer_span.into(),
            wants: Activations::wants(self.params.layer).to_vec(),
            objective: Objective {
                quantity: self.params.target.into(),
                tokens: None,
            },
            path: None,
        })?;
        let activations = Activations::read(&trace, self.params.layer)?;
        let heat = HeatMap::from_grid(activations.on_grid(cam(&activations))?.view())?;
        Ok(Attribution {
            warnings: warning(&activations, &heat).into_iter().collect(),
            heat: Some(heat),
            ..Attribution::default()
        })
    }
}

/// heat_i of each image token.
fn cam(activations: &Activations) -> Array1<f32> {
    let weights = activations.gradients.sum_axis(Axis(0)) / activations.gradients.nrows() as f32;
    // Not `max`, which would hide what is not a number.
    let relu = |value: f32| if value < 0.0 { 0.0 } else { value };
    activations.values.dot(&weights).mapv(relu)
}

fn warning(activations: &Activations, heat: &HeatMap) -> Option<String> {
    if activations.gradients.iter().all(|&g| g == 0.0) {
        let text = "the gradient is zero at every image token, so the map is empty: no later layer reads them here, \
                    as after the last one; choose an earlier `layer`, or none for the image features";
        Some(text.into())
    } else {
        heat.is_zero()
            .then(|| "no image token stands out for the answer: the map is empty".into())
    }
}

impl From<Target> for Quantity {
    fn from(target: Target) -> Self {
        match target {
            Target::LogProb => Self::LogProb,
            Target::MeanProbability => Self::MeanProbability,
        }
    }
}

impl From<Span> for AnswerSpan {
    fn from(span: Span) -> Self {
        match span {
            Span::Answer => Self::Answer,
            Span::Turn => Self::Turn,
        }
    }
}
