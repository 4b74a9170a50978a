//! Greedy generation with a key-value cache.

use medfocus_plugin_api::{GenerateEachRequest, GenerateRequest, Generation, GrayImage};
use medfocus_torch::grad::GradMode;
use medfocus_torch::tch::{Device, Kind, Tensor};

use crate::backend::{Backend, Watch};
use crate::cache::Cache;
use crate::different::Different;
use crate::forward;
use crate::network::{Family, Network};
use crate::{Error, Result};

impl<F: Family> Backend<F> {
    /// Answers greedily: at each step the most probable token, until an end token or the limit.
    pub fn generate(&self, request: &GenerateRequest, watch: &Watch<'_>) -> Result<Generation> {
        let images = vec![request.image.clone()];
        let question = request.question.as_str();
        let request = GenerateEachRequest::new(images, question, request.max_new_tokens);
        let answer = self.generate_each(&request, watch)?.pop();
        answer.ok_or_else(|| Error::Request("there is no image to answer about".to_owned()))
    }

    /// Answers one question about each image. Equal ones are answered once, different ones of a size in batches.
    pub fn generate_each(
        &self,
        request: &GenerateEachRequest,
        watch: &Watch<'_>,
    ) -> Result<Vec<Generation>> {
        let _off = GradMode::off();
        let limit = request.max_new_tokens as usize;
        let sizes = Different::by_size(&request.images);
        let mut answers = Vec::new();
        for Different { images, places } in &sizes {
            let mut different = Vec::new();
            for batch in images.chunks(self.batch(images[0].view().dim())?.score) {
                let answered = self.generate_batch(batch, &request.question, limit, watch)?;
                different.extend(answered);
            }
            answers.extend(places.iter().map(|&at| different[at as usize].clone()));
        }
        Ok(answers)
    }

    /// Answers about images of one size, token by token side by side; whoever is done leaves the batch.
    fn generate_batch(
        &self,
        images: &[&GrayImage],
        question: &str,
        limit: usize,
        watch: &Watch<'_>,
    ) -> Result<Vec<Generation>> {
        let grid = self.grid(images[0].view().dim())?;
        let ids = self.prompter.question(question, grid.tokens())?;
        let network = &self.network;
        let features = self.features(images)?;
        let penalty = self.generation.repetition_penalty;

        let mut answers: Vec<Answer> = images.iter().map(|_| Answer::default()).collect();
        let mut going: Vec<usize> = (0..images.len()).collect();
        let mut cache = Cache::new(network.depth());
        let prefill = network.prefill(&ids, grid)?;
        let mut input = forward::embed(network, &ids, &features)?;
        let mut step = None;
        for done in 0..limit {
            watch(done, limit)?;
            let pass = step.as_ref().unwrap_or(&prefill);
            let hidden = forward::run(network, &input, pass, Some(&mut cache))?;
            let last = hidden.f_select(1, -1)?;
            let before: Vec<&[i64]> = going.iter().map(|&at| &answers[at].tokens[..]).collect();
            let Choice { places, chosen } =
                choose(&network.logits(&last)?, &ids, &before, penalty)?;
            let mut stay = Vec::new();
            for (row, (token, log_prob)) in chosen.into_iter().enumerate() {
                let answer = &mut answers[going[row]];
                answer.tokens.push(token);
                answer.log_probs.push(log_prob);
                answer.complete = self.generation.eos.contains(&token);
                if !answer.complete {
                    stay.push(row);
                }
            }
            if stay.is_empty() {
                break;
            }
            let mut places = places;
            if stay.len() < going.len() {
                let rows: Vec<i64> = stay.iter().map(|&row| row as i64).collect();
                let rows = Tensor::f_from_slice(&rows)?.f_to_device(places.device())?;
                places = places.f_index_select(0, &rows)?;
                cache.keep(&rows)?;
                going = stay.into_iter().map(|row| going[row]).collect();
            }
            input = network.embed(&places)?;
            step = Some(network.step(&prefill, done)?);
        }
        answers
            .into_iter()
            .map(|answer| {
                let tokens = &answer.tokens;
                Ok(Generation::new(
                    self.prompter.decode(tokens)?.trim(),
                    self.prompter.describe(tokens),
                    answer.log_probs,
                    answer.complete,
                ))
            })
            .collect()
    }
}

/// An answer so far.
#[derive(Default)]
struct Answer {
    tokens: Vec<i64>,
    log_probs: Vec<f32>,
    complete: bool,
}

/// What greedy generation takes next.
struct Choice {
    /// The tokens where the network is, `[batch, 1]`.
    places: Tensor,
    /// Each token and its log-probability.
    chosen: Vec<(i64, f32)>,
}

/// The tokens that greedy generation takes after the ids of a prompt and what each answer has so far, of logits `[batch,
/// vocabulary]`. The penalty takes part in the choice; the log-probability is the model's own.
fn choose(logits: &Tensor, prompt: &[i64], before: &[&[i64]], penalty: f64) -> Result<Choice> {
    let logits = logits.f_to_kind(Kind::Float)?;
    let places = if penalty == 1.0 {
        logits.f_argmax(-1, true)?
    } else {
        let rows: Vec<i64> = before
            .iter()
            .flat_map(|row| [prompt, row].concat())
            .collect();
        let there = Tensor::f_from_slice(&rows)?.f_view([before.len() as i64, -1])?;
        let there = there.f_to_device(logits.device())?;
        let scores = logits.f_gather(-1, &there, false)?;
        let lowered = scores
            .f_mul_scalar(penalty)?
            .f_where_self(&scores.f_lt(0.0)?, &scores.f_div_scalar(penalty)?)?;
        logits.f_scatter(-1, &there, &lowered)?.f_argmax(-1, true)?
    };
    // From the largest on, so that no digits are lost between two large numbers.
    let below = logits.f_sub(&logits.f_amax(-1, true)?)?;
    let log_probs = below
        .f_gather(-1, &places, false)?
        .f_sub(&below.f_logsumexp(-1, true)?)?;
    // Both at once: each transfer waits for the device. Ids are whole in f64.
    let both = [
        places.f_to_kind(Kind::Double)?,
        log_probs.f_to_kind(Kind::Double)?,
    ];
    let both = Tensor::f_cat(&both, 1)?.f_to_device(Device::Cpu)?;
    let chosen = Vec::<f64>::try_from(both.f_flatten(0, -1)?)?;
    let chosen = chosen
        .chunks(2)
        .map(|pair| (pair[0] as i64, pair[1] as f32));
    Ok(Choice {
        chosen: chosen.collect(),
        places,
    })
}
