//! Greedy generation with a key-value cache.

use medfocus_plugin_api::{GenerateRequest, Generation};
use medfocus_torch::grad::GradMode;
use medfocus_torch::tch::{Device, Kind, Tensor};

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
        let features = self.features(&[&request.image])?;
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
            let Choice {
                place,
                token,
                log_prob,
            } = choose(&network.logits(&last)?, &ids, penalty)?;
            tokens.push(token);
            ids.push(token);
            log_probs.push(log_prob);
            complete = self.generation.eos.contains(&token);

            input = network.embed(&place.f_unsqueeze(0)?)?;
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

/// What greedy generation takes next.
struct Choice {
    /// The token where the network is, `[1]`.
    place: Tensor,
    token: i64,
    log_prob: f32,
}

/// The token that greedy generation takes after these ids, of logits `[1, 1, vocabulary]`, and its log-probability. The penalty
/// takes part in the choice; the log-probability is the model's own.
fn choose(logits: &Tensor, ids: &[i64], penalty: f64) -> Result<Choice> {
    let logits = logits.f_flatten(0, -1)?.f_to_kind(Kind::Float)?;
    let place = if penalty == 1.0 {
        logits.f_argmax(-1, true)?
    } else {
        let there = Tensor::f_from_slice(ids)?.f_to_device(logits.device())?;
        let scores = logits.f_gather(0, &there, false)?;
        let lowered = scores
            .f_mul_scalar(penalty)?
            .f_where_self(&scores.f_lt(0.0)?, &scores.f_div_scalar(penalty)?)?;
        logits.f_scatter(0, &there, &lowered)?.f_argmax(-1, true)?
    };
    // From the largest on, so that no digits are lost between two large numbers.
    let below = logits.f_sub(&logits.f_amax(0, true)?)?;
    let log_prob = below
        .f_gather(0, &place, false)?
        .f_sub(&below.f_logsumexp(0, true)?)?;
    // Both at once: each transfer waits for the device. Ids are whole in f64.
    let both = [
        place.f_to_kind(Kind::Double)?,
        log_prob.f_to_kind(Kind::Double)?,
    ];
    let both = Tensor::f_cat(&both, 0)?.f_to_device(Device::Cpu)?;
    Ok(Choice {
        token: both.f_double_value(&[0])? as i64,
        log_prob: both.f_double_value(&[1])? as f32,
        place,
    })
}
