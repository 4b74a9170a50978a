//! Greedy generation with a key-value cache.

use medfocus_plugin_api::{GenerateRequest, Generation};
use medfocus_torch::grad::GradMode;
use medfocus_torch::tch::{Kind, Tensor};

use crate::Result;
use crate::backend::{Backend, Watch};
use crate::cache::Cache;
use crate::objective::check_numbers;

impl Backend {
    /// Answers greedily: at each step the most probable token, until an end token or the limit.
    pub fn generate(&self, request: &GenerateRequest, watch: &Watch<'_>) -> Result<Generation> {
        let _off = GradMode::off();
        let ids = self.prompter.question(&request.question)?;
        let features = self
            .model
            .image_features(&self.pixels(&[&request.image])?)?;
        let limit = request.max_new_tokens as usize;

        let decoder = self.model.decoder();
        let mut cache = Cache::new(decoder.depth());
        let (mut tokens, mut log_probs) = (Vec::new(), Vec::new());
        let mut input = self.model.embed(&ids, &features)?;
        let mut pass = self.model.prefill(&ids)?;
        let mut complete = false;
        while tokens.len() < limit && !complete {
            watch(tokens.len(), limit)?;
            let hidden = decoder.run(&input, &pass, Some(&mut cache))?;
            let last = hidden.f_slice(1, -1, None, 1)?;
            let (token, log_prob) = most_probable(&decoder.logits(&last)?)?;
            tokens.push(token);
            log_probs.push(log_prob);
            complete = self.eos.contains(&token);

            let next = Tensor::f_from_slice(&[token])?
                .f_to_device(self.model.device())?
                .f_unsqueeze(0)?;
            input = decoder.embed(&next)?;
            pass = decoder.step((ids.len() + tokens.len() - 1) as i64)?;
        }
        Ok(Generation::new(
            self.prompter.decode(&tokens)?.trim(),
            self.prompter.describe(&tokens),
            log_probs,
            complete,
        ))
    }
}

/// The most probable token and its log-probability, of logits `[1, 1, vocabulary]`.
fn most_probable(logits: &Tensor) -> Result<(i64, f32)> {
    let log_probs = logits.f_flatten(0, -1)?.f_log_softmax(-1, Kind::Float)?;
    check_numbers(
        &log_probs.f_amax([0i64].as_slice(), false)?,
        "log-probabilities",
    )?;
    let token = log_probs.f_argmax(-1, false)?.f_int64_value(&[])?;
    let log_prob = log_probs.f_double_value(&[token])?;
    Ok((token, log_prob as f32))
}
