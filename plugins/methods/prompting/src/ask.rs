//! One question to the model and what is recorded of its answer.

use medfocus_plugin_api::{
    Attribution, Context, GenerateRequest, Generation, Result, Task, VisionLanguageModel,
};
use serde_json::{Map, Value, json};

/// Characters of an answer that are recorded.
const RECORDED: usize = 2000;

/// What the model was asked and said.
pub(crate) struct Reply {
    question: String,
    generation: Generation,
    max_new_tokens: u32,
}

impl Reply {
    /// Asks the task's question with `prompt` in place of its mode's suffix.
    pub(crate) fn to(
        context: &Context,
        task: &Task,
        prompt: &str,
        max_new_tokens: u32,
    ) -> Result<Self> {
        let base = task.question.strip_suffix(task.mode.suffix());
        let question = format!("{}{prompt}", base.unwrap_or(&task.question));
        let generation = context.model().generate(&GenerateRequest::new(
            task.image.clone(),
            question.clone(),
            max_new_tokens,
        ))?;
        Ok(Self {
            question,
            generation,
            max_new_tokens,
        })
    }

    pub(crate) fn text(&self) -> &str {
        &self.generation.text
    }

    /// An attribution without evidence that records the exchange and how it ended.
    pub(crate) fn record(&self, outcome: &str) -> Attribution {
        let log_probs = &self.generation.log_probs;
        let sum: f64 = log_probs.iter().map(|&l| f64::from(l).exp()).sum();
        let mean = (!log_probs.is_empty()).then(|| sum / log_probs.len() as f64);
        let text: String = self.text().chars().take(RECORDED).collect();
        let mut warnings = Vec::new();
        if !self.generation.complete {
            warnings.push(format!(
                "the model's answer was cut off after {} tokens: only what it had listed until then is read",
                self.max_new_tokens
            ));
        }
        Attribution {
            boxes: Some(Vec::new()),
            evidence: record([
                ("outcome", json!(outcome)),
                ("question", json!(self.question)),
                ("text", json!(text)),
                ("complete", json!(self.generation.complete)),
                ("mean_probability", json!(mean)),
            ]),
            warnings,
            ..Attribution::default()
        }
    }
}

/// Named values as a JSON object.
pub(crate) fn record<const N: usize>(values: [(&str, Value); N]) -> Map<String, Value> {
    Map::from_iter(values.map(|(key, value)| (key.to_owned(), value)))
}
