//! Gradient-weighted attention (Chefer et al., ICCV 2021) of one layer.

use std::ops::Range;

use medfocus_attribution::{Aim, Quantity, Span, Target};
use medfocus_plugin_api::{
    Ability, Attribution, AttributionMethod, Component, Context, Error, Result, Slot, Task,
    VisionLanguageModel, params,
};
use serde_json::{Map, json};

use crate::capture::request;
use crate::weighted::Weighted;
use crate::{Layer, Places, Rows};

params! {
    /// Parameters of [`GradWeightedAttention`].
    pub struct GradWeightedAttentionParams {
        /// Decoder layer, negative from the end; -1 is the published choice. Absent: the last one with full attention.
        pub layer: Option<i64> = null;
        /// Head of the layer, from 0. Absent: the mean of all.
        pub head: Option<u32> = null;
        /// Which row stands for a token of the answer.
        pub rows: Rows = "predicting";
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

/// Gradient-weighted attention: attention counts where more of it would raise the target. With A one layer's map (each
/// head) and L the target,
///
/// heat of image token i = mean over heads and the answer's rows q of relu(dL/dA)_{q,i} A_{q,i}.
///
/// The map of a token alone takes the gradient of that token's own target, so each costs one more traced pass, unless
/// the token is all that is explained.
///
/// The published code reads the last layer, which can be one with a sliding window (see
/// [`AttentionHead`](crate::AttentionHead)). `layer = -1`, `rows = "published"` and `answer_span = "turn"` together are
/// the published code. Its rows are those of the tokens themselves: nothing of a token's own row enters its own
/// probability, only later ones', so the last token's gradient there is exactly zero.
pub struct GradWeightedAttention {
    context: Context,
    params: GradWeightedAttentionParams,
    aim: Aim,
}

impl Component for GradWeightedAttention {
    const NAME: &'static str = "grad_weighted_attention";
    const SUMMARY: &'static str = "Attention of one layer weighted by its gradient (Chefer et al., ICCV 2021); one traced pass.";
    const SLOTS: &'static [Slot] = &[Slot::model(&[Ability::Trace, Ability::Gradient])];
    type Params = GradWeightedAttentionParams;

    fn new(params: GradWeightedAttentionParams, context: Context) -> Result<Self> {
        if params.per_token && params.target == Quantity::Margin {
            return Err(Error::invalid(
                "parameter `per_token` does not go with target `margin`, which is no sum over tokens",
            ));
        }
        if params.per_token && params.rows == Rows::Published {
            return Err(Error::invalid(
                "parameter `per_token` does not go with rows `published`: no token depends on its own row, so every \
                 map would be empty",
            )
            .with_hint("set `rows = \"predicting\"`"));
        }
        Ok(Self {
            aim: Aim::new(params.target, params.answer_span, &params.tokens)?,
            context,
            params,
        })
    }
}

impl AttributionMethod for GradWeightedAttention {
    fn attribute(&self, task: &Task) -> Result<Attribution> {
        let target = self.aim.of(task)?;
        let params = &self.params;
        let model = self.context.model();
        let layer = Layer::choose(&model.info()?, params.layer, params.head)?;
        let trace = |target: &Target| {
            let wants = Weighted::wants(layer.number).to_vec();
            model.trace(&request(task, target.span, wants, target.objective()))
        };

        let explained = trace(&target)?;
        let places = Places::new(&explained.layout, params.rows)?;
        let tokens = target.chosen(places.rows.len())?;
        let rows = places.rows_of(tokens.clone());
        let maps = Weighted::read(&explained, &layer, places.length)?;
        let columns = maps.columns(&places, rows.clone());

        let own = |t: usize| {
            if tokens == (t..t + 1) {
                return Ok(columns.clone());
            }
            let trace = trace(&target.of_token(t))?;
            let maps = Weighted::read(&trace, &layer, places.length)?;
            Ok(maps.columns(&places, places.rows_of(t..t + 1)))
        };
        let each = || places.token_heat(&self.context, own);

        let heat = places.heat(&columns)?;
        let empty = heat
            .is_zero()
            .then(|| why_empty(&maps, &places, rows.clone()).into());
        Ok(Attribution {
            token_heat: params.per_token.then(each).transpose()?,
            evidence: Map::from_iter([
                ("layer".into(), json!(layer.number)),
                ("rows".into(), json!([rows.start, rows.end])),
            ]),
            warnings: layer
                .hidden_image(&places, rows)
                .into_iter()
                .chain(empty)
                .collect(),
            heat: Some(heat),
            ..Attribution::default()
        })
    }
}

fn why_empty(maps: &Weighted<'_>, places: &Places, rows: Range<usize>) -> &'static str {
    if maps.is_flat(places, rows) {
        "the gradient is zero wherever the answer's rows attend to the image, so the map is empty: what is \
         explained does not depend on this attention"
    } else {
        "more attention to no image token would raise the target more than to any other: the map is empty"
    }
}
