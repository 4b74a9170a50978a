//! Greedy generation with a key-value cache.

use medfocus_plugin_api::{GenerateRequest, Generation};
use medfocus_torch::grad::GradMode;
use medfocus_torch::tch::{Kind, Tensor};

use crate::Result;
use crate::backend::{Backend, Watch};
use crate::cache::Cache;
use crate::forward;
use crate::network::{Family, Network};

impl<F: Family> Backend<F> {
    /// Answers greedily: at each step the most probable token, until an end token or the limit.
    pub fn generate(&self, request: &GenerateRequest, watch: &Watch<'_>) -> Result<Generation> {
        let _off = GradMode::off();
        let grid = self.grid(request.image.view().dim())?;
        let mut ids = self.prompter.question(&request.question, grid.tokens())?;
        let network = &self.network;
        let features = forward::features(network, &self.pixels(&[&request.image])?)?;
        let limit = request.max_new_tokens as usize;

        let mut cache = Cache::new(network.depth());
        let (mut tokens, mut log_probs) = (Vec::new(), Vec::new());
        let prefill = network.prefill(&ids, grid)?;
        let mut input = forward::embed(network, &ids, &features)?;
        let mut step = None;
        let mut complete = false;
        while tokens.len() < limit && !complete {
            watch(tokens.len(), limit)?;
            let pass = step.as_ref().unwrap_or(&prefill);
            let hidden = forward::run(network, &input, pass, Some(&mut cache))?;
            let last = hidden.f_slice(1, -1, None, 1)?;
            let penalty = self.generation.repetition_penalty;
            let (token, log_prob) = choose(&network.logits(&last)?, &ids, penalty)?;
            tokens.push(token);
            ids.push(token);
            log_probs.push(log_prob);
            complete = self.generation.eos.contains(&token);

            let next = Tensor::f_from_slice(&[token])?
                .f_to_device(network.device())?
                .f_unsqueeze(0)?;
            input = network.embed(&next)?;
            step = Some(network.step(&prefill, tokens.len() - 1)?);
        }
        Ok(Generation::new(
            self.prompter.decode(&tokens)?.trim(),
            self.prompter.describe(&tokens),
            log_probs,
            complete,
        ))
    }
}

/// The token that greedy generation takes after these ids, of logits `[1, 1, vocabulary]`, and its log-probability. The penalty
/// takes part in the choice; the log-probability is the model's own.
fn choose(logits: &Tensor, ids: &[i64], penalty: f64) -> Result<(i64, f32)> {
    let logits = logits.f_flatten(0, -1)?.f_to_kind(Kind::Float)?;
    let token = if penalty == 1.0 {
        logits.f_argmax(-1, false)?
    } else {
        let there = Tensor::f_from_slice(ids)?.f_to_device(logits.device())?;
        let scores = logits.f_gather(0, &there, false)?;
        let lowered = scores
            .f_mul_scalar(penalty)?
            .f_where_self(&scores.f_lt(0.0)?, &scores.f_div_scalar(penalty)?)?;
        logits.f_scatter(0, &there, &lowered)?.f_argmax(-1, false)?
    };
    let token = token.f_int64_value(&[])?;
    let log_probs = logits.f_log_softmax(-1, Kind::Float)?;
    Ok((token, log_probs.f_double_value(&[token])? as f32))
}
