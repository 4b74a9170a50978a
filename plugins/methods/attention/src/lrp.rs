//! Relevance propagation along attention: layer-wise relevance propagation (Bach et al., PLoS ONE 2015) in the form in
//! which Xiong et al. (2026) compare it, where only attention and residual connections pass relevance on.

use medfocus_attribution::{Aim, Quantity, Span};
use medfocus_plugin_api::{
    Ability, Attribution, AttributionMethod, Component, Context, Result, Slot, Task, params,
};

use crate::Rows;
use crate::propagation::Propagation;

params! {
    /// Parameters of [`Lrp`].
    pub struct LrpParams {
        /// Which tokens count as the answer.
        pub answer_span: Span = "answer";
        /// Only these tokens of the answer, as `0..3`, counted from its first, or `verdict`, its last yes or no; all if empty.
        pub tokens: String = "";
        /// Also a map for each answer token.
        pub per_token: bool = false;
    }
}

/// Relevance propagation: relevance R (S) starts as 1, spread evenly over the rows that predict the answer, and is
/// handed down from the last layer to the first. With M_l how layer l mixes its tokens ([`Mixing`](crate::Mixing)),
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
    aim: Aim,
}

impl Component for Lrp {
    const NAME: &'static str = "lrp";
    const SUMMARY: &'static str = "Layer-wise relevance propagation (Bach et al., PLoS ONE 2015) along attention and residuals; one traced pass.";
    const SLOTS: &'static [Slot] = &[Slot::model(&[Ability::Trace])];
    type Params = LrpParams;

    fn new(params: LrpParams, context: Context) -> Result<Self> {
        Ok(Self {
            aim: Aim::new(Quantity::LogProb, params.answer_span, &params.tokens)?,
            context,
            params,
        })
    }
}

impl AttributionMethod for Lrp {
    fn attribute(&self, task: &Task) -> Result<Attribution> {
        let target = self.aim.of(task)?;
        let propagation = Propagation {
            context: &self.context,
            task,
            target: &target,
            rows: Rows::Predicting,
            walk: |layers, r| {
                layers.iter().rev().fold(r, |r, m| {
                    let r = m.carry(&r);
                    let sum = r.sum();
                    r / sum
                })
            },
        };
        propagation.explain(self.params.per_token)
    }
}
