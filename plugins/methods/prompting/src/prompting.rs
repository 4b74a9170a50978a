//! The model's own boxes.

use medfocus_plugin_api::{
    Ability, Attribution, AttributionMethod, Component, Context, Result, ScoredBox, Slot, Task,
    VisionLanguageModel, params,
};
use serde_json::json;

use crate::{
    answer::{BoxList, MAX_BOXES, Outcome},
    ask::{Reply, record},
    convention::{Convention, Coordinates},
};

params! {
    /// Parameters of [`Prompting`].
    pub struct PromptingParams {
        /// What follows the question, with the space before it; if empty, a request for boxes in the model's convention.
        pub prompt: String = "";
        /// How the model's boxes are read.
        pub coordinates: Coordinates = "model";
        /// Where the answer stops at the latest.
        pub max_new_tokens: u32 = 256, in 1..=8192;
    }
}

/// Prompting: asks the model for its evidence as a list of boxes.
///
/// The question is the task's without its mode's suffix; the answer to explain is not shown to the model. Boxes keep
/// the model's order, and all have score 1: it ranks them but gives no number. They are clipped to the image; those
/// that are empty or lie outside are dropped and counted.
///
/// Evidence: `outcome` is `boxes`, `none` (the model said that there is no evidence: an empty list) or `unreadable`;
/// `question`, `text` (its first 2,000 characters), `complete`, `mean_probability` of the answer's tokens,
/// `coordinates` as they were read, and how many boxes were `dropped` or `left_out`.
pub struct Prompting {
    context: Context,
    params: PromptingParams,
}

impl Component for Prompting {
    const NAME: &'static str = "prompting";
    const SUMMARY: &'static str =
        "Asks the model for its evidence as a list of boxes; one generated answer.";
    const SLOTS: &'static [Slot] = &[Slot::model(&[Ability::Generate])];
    type Params = PromptingParams;

    fn new(params: PromptingParams, context: Context) -> Result<Self> {
        Ok(Self { context, params })
    }
}

impl AttributionMethod for Prompting {
    fn attribute(&self, task: &Task) -> Result<Attribution> {
        let params = &self.params;
        let asked = Convention::new(params.coordinates, &self.context.model().info()?)?;
        let prompt = match params.prompt.as_str() {
            "" => asked.prompt(),
            prompt => prompt.to_owned(),
        };
        let reply = Reply::to(&self.context, task, &prompt, params.max_new_tokens)?;
        let list = BoxList::read(reply.text());
        let convention = match params.coordinates {
            Coordinates::Auto => asked.fitted(&list.boxes),
            _ => asked,
        };

        let mut found = reply.record(match list.outcome() {
            Outcome::Listed => "boxes",
            Outcome::None => "none",
            Outcome::Unreadable => "unreadable",
        });
        let boxes: Vec<_> = list
            .boxes
            .iter()
            .filter_map(|raw| {
                Some(ScoredBox {
                    bbox: convention.to_working(raw.numbers, &task.letterbox)?,
                    score: 1.0,
                    label: raw.label.clone(),
                })
            })
            .collect();
        let dropped = list.boxes.len() - boxes.len();
        found.warnings.extend(warning(&list, dropped));
        found.evidence.extend(record([
            ("coordinates", json!(convention.name())),
            ("dropped", json!(dropped)),
            ("left_out", json!(list.left_out)),
        ]));
        found.boxes = Some(boxes);
        Ok(found)
    }
}

fn warning(list: &BoxList, dropped: usize) -> Option<String> {
    let given = list.boxes.len();
    if list.outcome() == Outcome::Unreadable {
        Some("the model's answer is not a list of boxes: there are none; its text is in the evidence".into())
    } else if dropped > 0 {
        Some(format!(
            "{dropped} of the model's {given} boxes are empty or outside the image and were dropped"
        ))
    } else {
        (list.left_out > 0).then(|| {
            format!(
                "the model listed {} boxes more than the {MAX_BOXES} that are kept",
                list.left_out
            )
        })
    }
}
