//! Relevance propagation along attention: layer-wise relevance propagation (Bach et al., PLoS ONE 2015) in the form in
//! which Xiong et al. (2026) compare it, where only attention and residual connections pass relevance on.

use std::ops::Range;

use medfocus_attribution::{Quantity, Span, Target};
use medfocus_plugin_api::{
    Ability, Attribution, AttributionMethod, Component, Context, Objective, Result, Slot, Task,
    VisionLanguageModel, params,
};
use serde_json::{Map, json};

use crate::capture::request;
use crate::{Mixing, Places, Rows};

params! {
    /// Parameters of [`Lrp`].
    pub struct LrpParams {
        /// Which tokens count as the answer.
        pub answer_span: Span = "answer";
        /// Only these tokens of the answer, as `0..3`, counted from its first; all if empty.
        pub tokens: String = "";
        /// Also a map for each answer token.
        pub per_token: bool = false;
    }
}

/// Relevance propagation: relevance R (S) starts as 1, spread evenly over the rows that predict the answer, and is
/// handed down from the last layer to the first. With M_l how layer l mixes its tokens ([`Mixing`]),
///
/// R = M_l^T R, then R = R / sum of R; heat of image token i = R_i at the bottom.
///
/// The rows of M_l sum to 1, so M_l^T keeps the sum of R and the division changes nothing but rounding. What is left,
/// R^T M_{L-1} ... M_0, is the mean row of the rollout: up to rounding this is the map of
/// [`AttentionRollout`](crate::AttentionRollout) with its defaults. They differ where that one is set to the order or
/// the rows of the published code. The published code of this method reads the predicting rows, too, so there is no
/// choice of them; `answer_span = "turn"` is the published code.
pub struct Lrp {
    context: Context,
    params: LrpParams,
    target: Target,
}

impl Component for Lrp {
    const NAME: &'static str = "lrp";
    const SUMMARY: &'static str = "Layer-wise relevance propagation (Bach et al., PLoS ONE 2015) along attention and residuals; one traced pass.";
    const SLOTS: &'static [Slot] = &[Slot::model(&[Ability::Trace])];
    type Params = LrpParams;

    fn new(params: LrpParams, context: Context) -> Result<Self> {
        Ok(Self {
            target: Target::new(Quantity::LogProb, params.answer_span, &params.tokens)?,
            context,
            params,
        })
    }
}

impl AttributionMethod for Lrp {
    fn attribute(&self, task: &Task) -> Result<Attribution> {
        let params = &self.params;
        let model = self.context.model();
        let depth = model.info()?.layers.len();
        let trace = model.trace(&request(
            task,
            params.answer_span,
            Mixing::wants(depth),
            Objective::default(),
        ))?;
        let places = Places::new(&trace.layout, Rows::Predicting)?;
        let tokens = self.target.chosen(places.rows.len())?;
        let rows = places.rows_of(tokens.clone());

        let layers = Mixing::read(&trace, depth, places.length)?;
        let relevance = |tokens: Range<usize>| {
            let mut r = places.uniform(places.rows_of(tokens));
            for m in layers.iter().rev() {
                r = m.carry(&r);
                r /= r.sum();
            }
            places.columns(&r)
        };

        let columns = relevance(tokens);
        let each = || places.token_heat(&self.context, |t| Ok(relevance(t..t + 1)));
        let heat = places.heat(&columns)?;
        let empty = "the answer's relevance reaches all image tokens alike: the map is empty";
        Ok(Attribution {
            token_heat: params.per_token.then(each).transpose()?,
            evidence: Map::from_iter([
                ("layers".into(), json!(depth)),
                ("rows".into(), json!([rows.start, rows.end])),
                ("image_share".into(), json!(columns.sum())),
            ]),
            warnings: heat.is_zero().then(|| empty.into()).into_iter().collect(),
            heat: Some(heat),
            ..Attribution::default()
        })
    }
}
