//! Attention rollout (Abnar and Zuidema, ACL 2020).

use medfocus_attribution::{Aim, Quantity, Span};
use medfocus_plugin_api::{
    Ability, Attribution, AttributionMethod, Component, Context, Result, Slot, Task, choices,
    params,
};
use ndarray::Array1;

use crate::propagation::Propagation;
use crate::{Mixing, Rows};

choices! {
    /// The order in which the layers' matrices are multiplied.
    pub enum Order {
        /// From the last layer down to the first, as Abnar and Zuidema define it.
        Abnar = "abnar",
        /// From the first layer up to the last, as the published code does.
        Published = "published",
    }
}

params! {
    /// Parameters of [`AttentionRollout`].
    pub struct AttentionRolloutParams {
        /// The order in which the layers' matrices are multiplied.
        pub order: Order = "abnar";
        /// Which row stands for a token of the answer.
        pub rows: Rows = "predicting";
        /// Which tokens count as the answer.
        pub answer_span: Span = "answer";
        /// Only these tokens of the answer, as `0..3`, counted from its first, or `verdict`, its last yes or no; all if empty.
        pub tokens: String = "";
        /// Also a map for each answer token.
        pub per_token: bool = false;
    }
}

/// Attention rollout: attention followed from the answer through all L layers. With M_l how layer l mixes its tokens
/// ([`Mixing`]),
///
/// rollout = M_{L-1} ... M_1 M_0, heat of image token i = mean over the answer's rows q of rollout_{q,i}.
///
/// One row vector is carried through the layers in L S^2 steps; the product is never formed. By default the map is the
/// one of [`Lrp`](crate::Lrp), which says why. `order = "published"`, `rows = "published"` and `answer_span = "turn"`
/// together are the published code, which multiplies M_0 M_1 ... M_{L-1}.
pub struct AttentionRollout {
    context: Context,
    params: AttentionRolloutParams,
    aim: Aim,
}

impl Component for AttentionRollout {
    const NAME: &'static str = "attention_rollout";
    const SUMMARY: &'static str =
        "Attention rollout through all layers (Abnar and Zuidema, ACL 2020); one traced pass.";
    const SLOTS: &'static [Slot] = &[Slot::model(&[Ability::Trace])];
    type Params = AttentionRolloutParams;

    fn new(params: AttentionRolloutParams, context: Context) -> Result<Self> {
        Ok(Self {
            aim: Aim::new(Quantity::LogProb, params.answer_span, &params.tokens)?,
            context,
            params,
        })
    }
}

impl AttributionMethod for AttentionRollout {
    fn attribute(&self, task: &Task) -> Result<Attribution> {
        let target = self.aim.of(task)?;
        let walk = match self.params.order {
            Order::Abnar => downwards,
            Order::Published => upwards,
        };
        let propagation = Propagation {
            context: &self.context,
            task,
            target: &target,
            rows: self.params.rows,
            walk,
        };
        propagation.explain(self.params.per_token)
    }
}

/// row M_{L-1} ... M_1 M_0.
fn downwards(layers: &[Mixing<'_>], row: Array1<f64>) -> Array1<f64> {
    layers.iter().rev().fold(row, |row, m| m.carry(&row))
}

/// row M_0 M_1 ... M_{L-1}.
fn upwards(layers: &[Mixing<'_>], row: Array1<f64>) -> Array1<f64> {
    layers.iter().fold(row, |row, m| m.carry(&row))
}
