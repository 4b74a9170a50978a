//! Class activation maps: channels of the image tokens, weighed by their gradients.

use medfocus_attribution::{Target, token_heat};
use medfocus_plugin_api::{
    Attribution, Context, HeatMap, Result, Task, TraceRequest, VisionLanguageModel,
};
use ndarray::Array1;

use crate::Activations;

/// A map heat_i = relu(sum over channels d of w_d h_{i,d}); methods differ in the weights w.
pub(crate) struct Cam<'a> {
    pub context: &'a Context,
    pub task: &'a Task,
    pub target: &'a Target,
    /// Decoder layer whose incoming state h is, or the image features.
    pub layer: Option<i64>,
    /// w of activations: (hidden).
    pub weights: &'a dyn Fn(&Activations) -> Array1<f32>,
}

impl Cam<'_> {
    /// The target's map, of one trace; with `per_token` also each token's, of one more each.
    pub fn explain(&self, per_token: bool) -> Result<Attribution> {
        let (activations, tokens) = self.trace(self.target)?;
        let heat = self.map(&activations)?;
        let each_token = |t| {
            self.context
                .step(t as u64, tokens as u64, "tokens traced")?;
            let (activations, _) = self.trace(&self.target.of_token(t))?;
            self.map(&activations)
        };
        Ok(Attribution {
            warnings: warning(&activations, &heat).into_iter().collect(),
            token_heat: per_token
                .then(|| token_heat(tokens, each_token))
                .transpose()?,
            heat: Some(heat),
            ..Attribution::default()
        })
    }

    /// The activations, and how many tokens the answer has.
    fn trace(&self, target: &Target) -> Result<(Activations, usize)> {
        let trace = self.context.model().trace(
            &TraceRequest::new(
                self.task.image.clone(),
                self.task.question.clone(),
                self.task.answer.clone(),
                Activations::wants(self.layer).to_vec(),
            )
            .with_span(target.span.into())
            .with_objective(target.objective()),
        )?;
        let activations = Activations::read(&trace, self.layer)?;
        Ok((activations, trace.layout.tokens.len()))
    }

    fn map(&self, activations: &Activations) -> Result<HeatMap> {
        let heat = activations.values.dot(&(self.weights)(activations));
        HeatMap::from_grid(activations.on_grid(heat.mapv(relu))?.view())
    }
}

/// Not `max`, which would hide what is not a number.
pub(crate) fn relu(value: f32) -> f32 {
    if value < 0.0 { 0.0 } else { value }
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
