//! Token activation maps (Li et al., ICCV 2025).

use medfocus_attribution::{Aim, Quantity, Span, token_heat};
use medfocus_plugin_api::{
    Ability, Attribution, AttributionMethod, Component, Context, HeatMap, Result, Slot, Task,
    TraceRequest, VisionLanguageModel, Want, params,
};
use ndarray::Array2;
use serde_json::{Map, json};

use crate::Activations;

params! {
    /// Parameters of [`Tam`].
    pub struct TamParams {
        /// Which tokens count as the answer.
        pub answer_span: Span = "answer";
        /// Only these tokens of the answer, as `0..3`, counted from its first, or `verdict`, its last yes or no; all if empty.
        pub tokens: String = "";
        /// Also a map for each answer token.
        pub per_token: bool = false;
    }
}

/// Token activation maps: the logit of a token where the image's positions predict, without what earlier text explains of
/// it. With h(p) the state after the final norm and W the output table,
///
/// A_k(p) = relu(W_{y_k} . h(p)), m_k = A_k at the image, w_j = A_k(q_j) / sum over j, n_k = sum over j of w_j m_j,
/// m'_k = relu(m_k - s n_k), s = <m_k, n_k> / <n_k, n_k>,
///
/// j over the earlier text tokens after the image that differ from token k, q_j a prompt token's own position and the one
/// that predicts an answer's. m'_k and the activations at the q_j are brought to 0..1 together, then m'_k goes through the
/// [rank Gaussian filter](crate::rank_gaussian). The heat is the mean over the answer's tokens.
///
/// What differs from the published code: text after the image includes the chat template's few tokens; the prompt's first
/// token takes its own logits, not those of what it predicts; and the answer's first token has its own map, where the
/// published code returns that of the prompt's first.
pub struct Tam {
    context: Context,
    params: TamParams,
    aim: Aim,
}

impl Component for Tam {
    const NAME: &'static str = "tam";
    const SUMMARY: &'static str = "Token activation maps: logits at the image's positions without earlier tokens' share (Li et al., ICCV 2025); one traced pass.";
    const SLOTS: &'static [Slot] = &[Slot::model(&[Ability::Trace])];
    type Params = TamParams;

    fn new(params: TamParams, context: Context) -> Result<Self> {
        Ok(Self {
            aim: Aim::new(Quantity::LogProb, params.answer_span, &params.tokens)?,
            context,
            params,
        })
    }
}

impl AttributionMethod for Tam {
    fn attribute(&self, task: &Task) -> Result<Attribution> {
        let target = self.aim.of(task)?;
        let request = TraceRequest::new(
            task.image.clone(),
            task.question.clone(),
            task.answer.clone(),
            vec![Want::Logits],
        )
        .with_span(target.span.into());
        let trace = self.context.model().trace(&request)?;
        let activations = Activations::read(&trace)?;
        let tokens = target.chosen(activations.count())?;

        let (height, width) = trace.layout.grid;
        let mut sum = Array2::zeros((height as usize, width as usize));
        let mut scales = Vec::new();
        for t in tokens.clone() {
            let token = activations.token(t)?;
            sum += &token.map;
            scales.push(token.scale);
        }
        let heat = heat(&(sum / tokens.len() as f64))?;
        let each = || token_heat(activations.count(), |t| heat_of(&activations, t));
        let empty = "no image token stands out for the answer once earlier tokens' share is taken off: the map is empty";
        Ok(Attribution {
            token_heat: self.params.per_token.then(each).transpose()?,
            evidence: Map::from_iter([("interference_scales".into(), json!(scales))]),
            warnings: heat.is_zero().then(|| empty.into()).into_iter().collect(),
            heat: Some(heat),
            ..Attribution::default()
        })
    }
}

fn heat_of(activations: &Activations<'_>, token: usize) -> Result<HeatMap> {
    heat(&activations.token(token)?.map)
}

fn heat(map: &Array2<f64>) -> Result<HeatMap> {
    HeatMap::from_grid(map.mapv(|v| v as f32).view())
}
