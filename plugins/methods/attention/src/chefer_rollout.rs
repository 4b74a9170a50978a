//! Gradient-weighted rollout: the whole rule of Chefer et al. (ICCV 2021), through all layers.

use medfocus_attribution::{Aim, Quantity, Span, Target};
use medfocus_plugin_api::{
    Ability, Attribution, AttributionMethod, Component, Context, Result, Slot, Task, Trace,
    VisionLanguageModel, params,
};
use ndarray::Array1;
use serde_json::{Map, json};

use crate::capture::request;
use crate::weighted::Weighted;
use crate::{Layer, Places, Rows};

params! {
    /// Parameters of [`CheferRollout`].
    pub struct CheferRolloutParams {
        /// What is explained.
        pub target: Quantity = "log_prob";
        /// Which tokens count as the answer.
        pub answer_span: Span = "answer";
        /// Only these tokens of the answer, as `0..3`, counted from its first, or `verdict`, its last yes or no; all if empty.
        pub tokens: String = "";
        /// Also a map for each answer token, of its own gradient: a traced pass for each.
        pub per_token: bool = false;
    }
}

/// Gradient-weighted rollout (Chefer, Gur and Wolf, ICCV 2021, equations 5 and 6, for a decoder): attention followed
/// through all layers, where it counts as far as more of it would raise the target. With A_l a layer's map (each head)
/// and L the target,
///
/// W_l = mean over heads of relu(dL/dA_l) A_l, R = (Id + W_{L-1}) ... (Id + W_0),
/// heat of image token i = mean over the predicting rows q of R_{q,i}.
///
/// [`GradWeightedAttention`](crate::GradWeightedAttention) is one factor of it. One row vector is carried down through
/// the layers, so no product of matrices is formed; all layers' maps and gradients are held at once.
pub struct CheferRollout {
    context: Context,
    params: CheferRolloutParams,
    aim: Aim,
}

impl Component for CheferRollout {
    const NAME: &'static str = "chefer_rollout";
    const SUMMARY: &'static str = "Gradient-weighted attention followed through all layers (Chefer et al., ICCV 2021); one traced pass.";
    const SLOTS: &'static [Slot] = &[Slot::model(&[Ability::Trace, Ability::Gradient])];
    type Params = CheferRolloutParams;

    fn new(params: CheferRolloutParams, context: Context) -> Result<Self> {
        let aim = Aim::new(params.target, params.answer_span, &params.tokens)?;
        Ok(Self {
            aim: aim.with_maps(params.per_token)?,
            context,
            params,
        })
    }
}

impl AttributionMethod for CheferRollout {
    fn attribute(&self, task: &Task) -> Result<Attribution> {
        let target = self.aim.of(task)?;
        let model = self.context.model();
        let layers = Layer::all(&model.info()?)?;
        let trace = |target: &Target| {
            let wants = layers
                .iter()
                .flat_map(|layer| Weighted::wants(layer.number));
            let wants = wants.collect();
            model.trace(&request(task, target.span, wants, target.objective()))
        };

        let explained = trace(&target)?;
        let places = Places::new(&explained.layout, Rows::Predicting)?;
        let tokens = target.chosen(places.rows.len())?;
        let rows = places.rows_of(tokens.clone());
        let down = |trace: &Trace, rows| -> Result<Array1<f64>> {
            let mut r = places.uniform(rows);
            for layer in layers.iter().rev() {
                r = Weighted::read(trace, layer, places.length)?.carry(&r);
            }
            Ok(places.columns(&r))
        };
        let columns = down(&explained, rows.clone())?;
        let own = |t: usize| {
            if tokens == (t..t + 1) {
                return Ok(columns.clone());
            }
            down(&trace(&target.of_token(t))?, places.rows_of(t..t + 1))
        };
        let each = || places.token_heat(&self.context, own);

        let heat = places.heat(&columns)?;
        let empty = "no way through the layers along which more attention would raise the target tells one image token \
                     from another: the map is empty";
        Ok(Attribution {
            token_heat: self.params.per_token.then(each).transpose()?,
            evidence: Map::from_iter([
                ("layers".into(), json!(layers.len())),
                ("rows".into(), json!([rows.start, rows.end])),
            ]),
            warnings: heat.is_zero().then(|| empty.into()).into_iter().collect(),
            heat: Some(heat),
            ..Attribution::default()
        })
    }
}
