//! The attention of one layer, the plainest attribution there is.

use std::ops::Range;

use medfocus_attribution::{Aim, Quantity, Span};
use medfocus_plugin_api::{
    Ability, Attribution, AttributionMethod, Component, Context, Objective, Result, Slot, Task,
    VisionLanguageModel, Want, params,
};
use ndarray::{Axis, Ix2, Ix3};
use serde_json::{Map, json};

use crate::capture::{read, request};
use crate::{Layer, Places, Rows};

params! {
    /// Parameters of [`AttentionHead`].
    pub struct AttentionHeadParams {
        /// Decoder layer, negative from the end; -1 is the published choice. Absent: the last one with full attention.
        pub layer: Option<i64> = null;
        /// Head of the layer, from 0. Absent: the mean of all.
        pub head: Option<u32> = null;
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

/// Attention of one layer: with A its map, the mean of its heads or one of them,
///
/// heat of image token i = mean over the answer's rows q of A_{q,i}.
///
/// The published code reads the last layer. In models that alternate, that can be a layer with a sliding window, blind
/// to the image once the answer is further away than the window; by default the last layer with full attention is
/// read instead. `layer = -1`, `rows = "published"` and `answer_span = "turn"` together are the published code.
pub struct AttentionHead {
    context: Context,
    params: AttentionHeadParams,
    aim: Aim,
}

impl Component for AttentionHead {
    const NAME: &'static str = "attention_head";
    const SUMMARY: &'static str = "Attention of one layer from the answer to the image, mean over heads or one; one traced pass.";
    const SLOTS: &'static [Slot] = &[Slot::model(&[Ability::Trace])];
    type Params = AttentionHeadParams;

    fn new(params: AttentionHeadParams, context: Context) -> Result<Self> {
        Ok(Self {
            aim: Aim::new(Quantity::LogProb, params.answer_span, &params.tokens)?,
            context,
            params,
        })
    }
}

impl AttributionMethod for AttentionHead {
    fn attribute(&self, task: &Task) -> Result<Attribution> {
        let target = self.aim.of(task)?;
        let params = &self.params;
        let model = self.context.model();
        let layer = Layer::choose(&model.info()?, params.layer, params.head)?;
        let want = Want::Attention {
            layer: layer.number,
            heads: params.head.is_some(),
        };
        let nothing = Objective::default();
        let trace = model.trace(&request(task, params.answer_span, vec![want], nothing))?;
        let places = Places::new(&trace.layout, params.rows)?;
        let tokens = target.chosen(places.rows.len())?;
        let rows = places.rows_of(tokens.clone());

        let s = places.length;
        let map = match params.head {
            None => read(&trace, want, Ix2(s, s))?,
            Some(head) => {
                read(&trace, want, Ix3(layer.count, s, s))?.index_axis_move(Axis(0), head as usize)
            }
        };
        let attended = |tokens: Range<usize>| {
            places.mean_of(places.rows_of(tokens), |q, k| f64::from(map[(q, k)]))
        };

        let columns = attended(tokens);
        let each = || places.token_heat(&self.context, |t| Ok(attended(t..t + 1)));
        let heat = places.heat(&columns)?;
        let empty = heat
            .is_zero()
            .then(|| "the answer attends to all image tokens alike: the map is empty".into());
        Ok(Attribution {
            token_heat: params.per_token.then(each).transpose()?,
            evidence: Map::from_iter([
                ("layer".into(), json!(layer.number)),
                ("rows".into(), json!([rows.start, rows.end])),
                ("image_share".into(), json!(columns.sum())),
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
