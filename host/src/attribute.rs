//! One image, one question, one answer, one method: the whole way to a record.

use std::{collections::BTreeMap, time::Instant};

use medfocus_plugin_api::{
    Ability, AttributionMethod, BBox, Error, GenerateRequest, Generation, HeatMap, Mask, Mode,
    ModelInfo, Native, Result, ScoredBox, Task, Tensor, VisionLanguageModel, Working,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    boxes::BoxRule,
    plugin::Calls,
    score::{LanguagePrior, ScoredToken, score},
    study::{ImageRecord, Study},
    workbench::{Provenance, Ready, Workbench},
};

/// What is asked.
pub struct Query<'a> {
    /// About what.
    pub study: &'a Study,
    /// The question; the mode's suffix is added unless it is there.
    pub question: &'a str,
    /// The answer to explain; the model's own if nothing.
    pub answer: Option<&'a str>,
    /// How the question asks to be answered.
    pub mode: Mode,
    /// The finding the question is about, for methods that know findings.
    pub finding: Option<&'a str>,
}

/// Everything about one attribution; the content of `attribution.json`.
#[derive(Debug, Serialize)]
pub struct Record {
    /// Version of this program.
    pub medfocus: &'static str,
    /// The full question, suffix included.
    pub question: String,
    /// The explained answer.
    pub answer: String,
    /// Whether the answer was given or is the model's own.
    pub answer_source: AnswerSource,
    /// How the question asks to be answered.
    pub mode: Mode,
    /// The answer's tokens, with log-probabilities where the model can score.
    pub tokens: Vec<ScoredToken>,
    /// How likely the answer is with the image and without; nothing if the model cannot score, or nobody asked.
    pub language_prior: Option<LanguagePrior>,
    /// The evidence, strongest first.
    pub boxes: Vec<BoxRecord>,
    /// File with the heat map, if the method makes one: (224, 224) f32 in the working frame.
    pub heatmap: Option<&'static str>,
    /// File with a heat map for each answer token, if the method was asked for them: (T, 224, 224) f32.
    pub token_heatmaps: Option<&'static str>,
    /// File with the picture.
    pub overlay: &'static str,
    /// Whatever else the method said.
    pub evidence: Map<String, Value>,
    /// What to know before trusting this result.
    pub warnings: Vec<String>,
    /// The image.
    pub image: ImageRecord,
    /// The method.
    pub method: Provenance,
    /// The model's plugin and parameters.
    pub model: Provenance,
    /// What the model is; its digest covers weights and settings.
    pub model_info: ModelInfo,
    /// Seed of every random choice.
    pub seed: u64,
    /// Calls between plugins by `slot.operation`.
    pub calls: BTreeMap<String, Calls>,
    /// Wall-clock seconds of each stage.
    pub seconds: BTreeMap<&'static str, f64>,
}

/// Where an answer came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerSource {
    /// The user.
    Given,
    /// The model.
    Generated,
}

/// A region in both frames.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BoxRecord {
    /// In the image as it was read; nothing if it lies wholly in the padding.
    pub native: Option<BBox<Native>>,
    /// In the working image.
    pub working: BBox<Working>,
    /// The method's score.
    pub score: f64,
    /// What it is, where the method says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

/// A record and the maps that go into files of their own.
pub struct Outcome {
    /// All but the maps.
    pub record: Record,
    /// The map, if the method makes one.
    pub heat: Option<HeatMap>,
    /// The region, if the method marks one.
    pub mask: Option<Mask>,
    /// One for each answer token, (T, 224, 224) f32, if the method was asked for them.
    pub token_heat: Option<Tensor>,
}

/// What a method says, with boxes in any case.
pub struct Explained {
    /// The evidence, strongest first.
    pub boxes: Vec<BoxRecord>,
    /// The map, if the method makes one.
    pub heat: Option<HeatMap>,
    /// The region, if the method marks one.
    pub mask: Option<Mask>,
    /// A map for each answer token.
    pub token_heat: Option<Tensor>,
    /// Whatever else the method said.
    pub evidence: Map<String, Value>,
    /// What to know before trusting this result.
    pub warnings: Vec<String>,
}

/// Runs one attribution.
///
/// # Errors
///
/// What model or method fail with, or [`Error::cancelled`].
pub fn attribute(
    bench: &Workbench,
    model: &Ready,
    method: &Ready,
    query: &Query<'_>,
) -> Result<Outcome> {
    let config = &bench.layers.config;
    let study = query.study;
    let mut stages = Stages::default();
    let client = model.client();
    bench.session.take_ledger();

    let model_info = VisionLanguageModel::info(&client)?;
    let question = with_suffix(query.question, query.mode);
    let mut warnings = study.warnings.clone();
    let (answer, answer_source, mut tokens) = match query.answer {
        Some(answer) => (answer.to_owned(), AnswerSource::Given, Vec::new()),
        None => {
            let generation = stages.time("answer", || {
                answer(&client, study, &question, config.answer.max_new_tokens)
            })?;
            if !generation.complete {
                warnings.push(format!(
                    "the answer was cut after {} tokens: what is explained is not all that the model would say; raise `answer.max_new_tokens`",
                    generation.tokens.len()
                ));
            }
            let tokens = generation.tokens.into_iter().zip(generation.log_probs);
            let tokens = tokens
                .map(|(token, log_prob)| ScoredToken { token, log_prob })
                .collect();
            (generation.text, AnswerSource::Generated, tokens)
        }
    };
    if answer.trim().is_empty() {
        return Err(Error::invalid("there is no answer to explain: it is empty"));
    }
    let mut language_prior = None;
    if model_info.abilities.contains(&Ability::Score) {
        let (image, letterbox) = (&study.working, &study.letterbox);
        let prior = config.answer.language_prior;
        (tokens, language_prior) = stages.time("score", || {
            score(&client, image, letterbox, &question, &answer, prior)
        })?;
    }

    let mut task = study.clone().into_task(question, answer);
    let texts = tokens.iter().map(|scored| scored.token.text.clone());
    task.tokens = texts.collect();
    task.mode = query.mode;
    task.seed = config.seed;
    task.finding = query.finding.map(str::to_owned);
    let found = stages.time("attribute", || explain(method, &task, &config.boxes))?;
    warnings.extend(found.warnings);
    Ok(Outcome {
        record: Record {
            medfocus: env!("CARGO_PKG_VERSION"),
            question: task.question,
            answer: task.answer,
            answer_source,
            mode: task.mode,
            tokens,
            language_prior,
            boxes: found.boxes,
            heatmap: found.heat.as_ref().map(|_| "heatmap.npy"),
            token_heatmaps: found.token_heat.as_ref().map(|_| "token_heatmaps.npy"),
            overlay: "overlay.png",
            evidence: found.evidence,
            warnings,
            image: study.source.clone(),
            method: method.provenance.clone(),
            model: model.provenance.clone(),
            model_info,
            seed: config.seed,
            calls: bench.session.take_ledger(),
            seconds: stages.0,
        },
        heat: found.heat,
        mask: found.mask,
        token_heat: found.token_heat,
    })
}

/// Asks a method to explain an answer, and reads boxes off its map where it gives none itself.
///
/// # Errors
///
/// What the method fails with, and [`Error::protocol`] if it gives neither map nor boxes.
pub fn explain(method: &Ready, task: &Task, rule: &BoxRule) -> Result<Explained> {
    let found = method.client().attribute(task)?;
    let mut warnings = found.warnings;
    let mut boxes = match (found.boxes, &found.heat) {
        (Some(boxes), _) => boxes,
        (None, Some(heat)) => {
            let read = rule.apply(heat);
            warnings.extend(read.warnings);
            read.boxes
        }
        (None, None) => {
            return Err(Error::protocol(format!(
                "method `{}` gave neither a heat map nor boxes",
                method.manifest.name
            )));
        }
    };
    boxes.sort_by(|a, b| b.score.total_cmp(&a.score));
    let in_both_frames = |scored: ScoredBox| BoxRecord {
        native: task.letterbox.to_native(&scored.bbox),
        working: scored.bbox,
        score: scored.score,
        label: scored.label,
    };
    Ok(Explained {
        boxes: boxes.into_iter().map(in_both_frames).collect(),
        heat: found.heat,
        mask: found.mask,
        token_heat: found.token_heat,
        evidence: found.evidence,
        warnings,
    })
}

/// The model's own answer to a full question.
///
/// # Errors
///
/// What the model fails with.
pub fn answer(
    model: &impl VisionLanguageModel,
    study: &Study,
    question: &str,
    max_new_tokens: u32,
) -> Result<Generation> {
    model.generate(&GenerateRequest::new(
        study.working.clone(),
        question,
        max_new_tokens,
    ))
}

/// The question with the mode's suffix, once.
pub fn with_suffix(question: &str, mode: Mode) -> String {
    let question = question.trim();
    if question.ends_with(mode.suffix().trim()) {
        question.to_owned()
    } else {
        format!("{question}{}", mode.suffix())
    }
}

#[derive(Default)]
struct Stages(BTreeMap<&'static str, f64>);

impl Stages {
    fn time<R>(&mut self, stage: &'static str, f: impl FnOnce() -> R) -> R {
        let start = Instant::now();
        let result = f();
        self.0.insert(stage, start.elapsed().as_secs_f64());
        result
    }
}
