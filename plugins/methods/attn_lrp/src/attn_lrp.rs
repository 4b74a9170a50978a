//! AttnLRP (Achtibat et al., ICML 2024).

use medfocus_attribution::{Aim, Quantity, Span, Target, token_heat};
use medfocus_plugin_api::{
    self as api, Ability, Attribution, AttributionMethod, Component, Context, Error, HeatMap,
    Objective, RelevanceRule, Result, Slot, Task, Trace, TraceRequest, VisionLanguageModel, Want,
    choices, params,
};
use ndarray::{Array2, ArrayView1, Ix1};
use serde_json::{Map, json};

choices! {
    /// The scalar whose relevance is handed down.
    pub enum Explained {
        /// The sum of the tokens' logits.
        Logit = "logit",
        /// The sum of the tokens' log-probabilities; the normalisation over the vocabulary keeps a part of its relevance.
        LogProb = "log_prob",
        /// log p(Yes) - log p(No) where the answer's first token is predicted: a difference of two logits.
        Margin = "margin",
    }
}

choices! {
    /// How attention and gates hand relevance down.
    pub enum Attention {
        /// To queries, keys and values; both factors of a gate (AttnLRP).
        AttnLrp = "attn_lrp",
        /// To the values alone; gates are constants (CP-LRP, the same authors' simpler rule).
        CpLrp = "cp_lrp",
    }
}

params! {
    /// Parameters of [`AttnLrp`].
    pub struct AttnLrpParams {
        /// How attention and gates hand relevance down.
        pub attention: Attention = "attn_lrp";
        /// What is explained.
        pub target: Explained = "logit";
        /// Which tokens count as the answer.
        pub answer_span: Span = "answer";
        /// Only these tokens of the answer, as `0..3`, counted from its first, or `verdict`, its last yes or no; all if empty.
        pub tokens: String = "";
        /// Also keep each image token's relevance with its sign, row by row over the grid, as evidence.
        pub signed: bool = false;
        /// Also a map for each answer token, of its own relevance: a traced pass for each.
        pub per_token: bool = false;
    }
}

/// AttnLRP: the target is handed down as relevance, from layer to layer, to the projected image features. With x the
/// features of image token i and g what the modified backward pass makes of dL/dx,
///
/// R_i = sum over channels d of x_{i,d} g_{i,d}, heat_i = relu(R_i).
///
/// Norms and activation functions pass relevance on as it is, products share it evenly, the softmax keeps its own
/// derivative. The softmax is not linear and biases take their share, so the relevance of all tokens does not add up to
/// the target; the evidence says what is left over. Under `cp_lrp` only biases keep any.
///
/// The method is patented: it may be used free of charge for personal and scientific purposes only.
pub struct AttnLrp {
    context: Context,
    params: AttnLrpParams,
    aim: Aim,
}

impl Component for AttnLrp {
    const NAME: &'static str = "attn_lrp";
    const SUMMARY: &'static str = "AttnLRP, relevance handed down through the decoder (Achtibat et al., ICML 2024); one traced pass. Patented: free of charge for personal and scientific purposes only.";
    const SLOTS: &'static [Slot] = &[Slot::model(&[Ability::Trace, Ability::Relevance])];
    type Params = AttnLrpParams;

    fn new(params: AttnLrpParams, context: Context) -> Result<Self> {
        let quantity = match params.target {
            Explained::Margin => Quantity::Margin,
            Explained::Logit | Explained::LogProb => Quantity::LogProb,
        };
        let aim = Aim::new(quantity, params.answer_span, &params.tokens)?;
        Ok(Self {
            aim: aim.with_maps(params.per_token)?,
            context,
            params,
        })
    }
}

impl AttributionMethod for AttnLrp {
    fn attribute(&self, task: &Task) -> Result<Attribution> {
        let target = self.aim.of(task)?;
        let trace = self.trace(task, &target)?;
        let count = trace.layout.tokens.len();
        target.chosen(count)?;
        let [image, all] = self.relevance(&trace)?;
        let heat = heat(&trace, image)?;
        let each = |t| {
            self.context.step(t as u64, count as u64, "tokens traced")?;
            let trace = self.trace(task, &target.of_token(t))?;
            let [image, _] = self.relevance(&trace)?;
            self::heat(&trace, image)
        };

        let sum =
            |relevance: ArrayView1<'_, f32>| relevance.iter().map(|&r| f64::from(r)).sum::<f64>();
        let (of_image, of_all) = (sum(image), sum(all));
        let mut evidence = Map::from_iter([
            ("objective".into(), json!(trace.objective)),
            ("image_relevance".into(), json!(of_image)),
            ("text_relevance".into(), json!(of_all - of_image)),
            ("unaccounted".into(), json!(trace.objective - of_all)),
        ]);
        if self.params.signed {
            evidence.insert("relevance".into(), json!(image.to_vec()));
        }
        let empty = "no image token's relevance speaks for the answer more than another's: the map is empty";
        Ok(Attribution {
            token_heat: (self.params.per_token)
                .then(|| token_heat(count, each))
                .transpose()?,
            evidence,
            warnings: heat.is_zero().then(|| empty.into()).into_iter().collect(),
            heat: Some(heat),
            ..Attribution::default()
        })
    }
}

impl AttnLrp {
    /// The image tokens' relevance and that of all tokens.
    fn wants(&self) -> [Want; 2] {
        let rule = match self.params.attention {
            Attention::AttnLrp => RelevanceRule::AttnLrp,
            Attention::CpLrp => RelevanceRule::CpLrp,
        };
        [None, Some(0)].map(|layer| Want::Relevance { layer, rule })
    }

    fn trace(&self, task: &Task, target: &Target) -> Result<Trace> {
        let objective = match self.params.target {
            Explained::Logit => Objective {
                quantity: api::Quantity::Logit,
                tokens: target.tokens.clone(),
            },
            Explained::LogProb | Explained::Margin => target.objective(),
        };
        self.context.model().trace(
            &TraceRequest::new(
                task.image.clone(),
                task.question.clone(),
                task.answer.clone(),
                self.wants().to_vec(),
            )
            .with_span(target.span.into())
            .with_objective(objective),
        )
    }

    /// What was captured: (gh gw) and (S).
    fn relevance<'a>(&self, trace: &'a Trace) -> Result<[ArrayView1<'a, f32>; 2]> {
        let layout = &trace.layout;
        let counts = [layout.image_positions.len(), layout.input_ids.len()];
        let [image, all] = self.wants();
        let read = |want, count| {
            let capture = trace.capture(want)?;
            match capture.view_nd::<f32, Ix1>() {
                Ok(values) if values.len() == count => Ok(values),
                Ok(values) => Err(Error::protocol(format!(
                    "the model gave {want} for {} tokens, not {count}",
                    values.len()
                ))),
                Err(error) => Err(error.context(want)),
            }
        };
        Ok([read(image, counts[0])?, read(all, counts[1])?])
    }
}

/// The map of what speaks for the target.
fn heat(trace: &Trace, relevance: ArrayView1<'_, f32>) -> Result<HeatMap> {
    let (height, width) = trace.layout.grid;
    // Not `max`, which would hide what is not a number.
    let positive = relevance.iter().map(|&r| if r < 0.0 { 0.0 } else { r });
    let grid = Array2::from_shape_vec((height as usize, width as usize), positive.collect());
    let grid = grid.map_err(|_| {
        Error::protocol(format!(
            "the model gave {} image tokens for a grid of {height} x {width}",
            relevance.len()
        ))
    })?;
    HeatMap::from_grid(grid.view())
}
