//! The suite for vision-language models.

use ndarray::Ix2;

use super::{
    answers::{self, fails, shaped},
    common,
    report::Report,
    scene,
    subject::{Ask, Made, Subject},
};
use crate::{
    component::Component,
    error::{ErrorKind, Result as Fallible},
    frame::WORKING_SIDE,
    image::GrayImage,
    manifest::Ability,
    protocol::{
        mode::Mode,
        model::{
            GENERATE, GenerateRequest, Generation, INFO, ModelInfo, SCORE, ScoreRequest, TRACE,
            VisionLanguageModel, serve,
        },
        trace::{TraceRequest, Want, Wrt},
    },
};

/// By how much two log-probabilities of one token may differ where the model may add in another order: nats.
pub const TOLERANCE: f32 = 1e-3;

/// Tokens of an answer at most.
const TOKENS: u32 = 16;

/// Checks a model by the abilities that it declares. `answer` is one that it can score, as "Yes".
///
/// `information`: what it says of itself is complete and offers no more than the component declares; the grid has cells
/// if it can be traced. `generation`: there is a finite log-probability of at most 0 for each token, and no more tokens
/// than asked for. `scores`: log-probabilities are f32 of shape (N, T) for N images and T tokens, at most 0. `batch`:
/// scores of an image are those it has alone, within [`TOLERANCE`]. `generation and scores`: the answer that it wrote has
/// the tokens and log-probabilities that it had when it was written, within the same. `trace`: captures come in the
/// order asked for, with the documented shapes; rows of attention are at least 0 and sum to 1; log-probabilities are
/// those of the score. `undeclared`: what it does not declare is refused as unsupported.
pub fn model<T: Component + VisionLanguageModel>(
    params: T::Params,
    answer: &'static str,
) -> Report {
    let subject = Subject::<T>::new(&params, |model, op, message| serve(model, op, message));
    let can = |ability| T::ABILITIES.contains(&ability);
    let mut asks = vec![Ask::new(INFO, || Ok(()))];
    if can(Ability::Generate) {
        asks.push(Ask::new(GENERATE, || generate(TOKENS)));
    }
    if can(Ability::Score) {
        asks.push(Ask::new(SCORE, move || Ok(score(images()?, answer))));
    }
    if can(Ability::Trace) {
        asks.push(Ask::new(TRACE, move || {
            trace(answer, wants(can(Ability::Gradient)))
        }));
    }
    let mut report = common::check(&subject, &asks);
    report.check(
        "information",
        on(&subject, |model| information::<T>(&model)),
    );
    if can(Ability::Generate) {
        report.check("generation", on(&subject, |model| generation(&model)));
    }
    if can(Ability::Score) {
        report.check("scores", on(&subject, |model| scores(&model, answer)));
        report.check("batch", on(&subject, |model| batch(&model, answer)));
    }
    if can(Ability::Generate) && can(Ability::Score) {
        report.check(
            "generation and scores",
            on(&subject, |model| rescored(&model)),
        );
    }
    if can(Ability::Trace) {
        report.check(
            "trace",
            on(&subject, |model| {
                traced(&model, answer, can(Ability::Gradient), can(Ability::Score))
            }),
        );
    }
    report.check(
        "undeclared",
        on(&subject, |model| undeclared::<T>(&model, answer)),
    );
    report
}

fn on<T: Component>(
    subject: &Subject<T>,
    check: impl FnOnce(Made) -> Result<(), String>,
) -> Result<(), String> {
    check(subject.made()?)
}

fn question() -> String {
    format!(
        "Is there evidence of a bright spot in the image?{}",
        Mode::Direct.suffix()
    )
}

/// The image with the spot, one without, and a black one.
fn images() -> Fallible<Vec<GrayImage>> {
    let image = scene::working()?;
    let spot = scene::spot::<crate::Working>(WORKING_SIDE, WORKING_SIDE)?;
    let whole = crate::BBox::<crate::Working>::new(0, 0, WORKING_SIDE, WORKING_SIDE)?;
    let (without, black) = (image.with_filled(&spot, 40), image.with_filled(&whole, 0));
    Ok(vec![image, without, black])
}

fn generate(tokens: u32) -> Fallible<GenerateRequest> {
    Ok(GenerateRequest::new(scene::working()?, question(), tokens))
}

fn score(images: Vec<GrayImage>, answer: &str) -> ScoreRequest {
    ScoreRequest::new(images, question(), answer)
}

fn wants(gradient: bool) -> Vec<Want> {
    let mut wants = vec![
        Want::Features,
        Want::Attention {
            layer: -1,
            heads: true,
        },
        Want::Hidden { layer: -1 },
    ];
    if gradient {
        wants.extend([Want::Gradient(Wrt::Features), Want::Gradient(Wrt::Pixels)]);
    }
    wants
}

fn trace(answer: &str, wants: Vec<Want>) -> Fallible<TraceRequest> {
    Ok(TraceRequest::new(
        scene::working()?,
        question(),
        answer,
        wants,
    ))
}

fn info(model: &Made) -> Result<ModelInfo, String> {
    VisionLanguageModel::info(&model.client()).map_err(fails(INFO))
}

fn information<T: Component>(model: &Made) -> Result<(), String> {
    let info = info(model)?;
    if [&info.family, &info.digest, &info.device, &info.dtype]
        .iter()
        .any(|text| text.trim().is_empty())
    {
        return Err("its family, digest, device or dtype is empty".into());
    }
    let mut more = info
        .abilities
        .iter()
        .filter(|ability| !T::ABILITIES.contains(ability));
    if let Some(ability) = more.next() {
        return Err(format!(
            "it offers `{}`, which `Component::ABILITIES` does not declare",
            ability.name()
        ));
    }
    if T::ABILITIES.contains(&Ability::Trace)
        && (info.grid.0 == 0 || info.grid.1 == 0 || info.layers.is_empty())
    {
        return Err("it can be traced, but says nothing of its grid or its layers".into());
    }
    Ok(())
}

/// Log-probabilities of at most 0, but for rounding.
fn probable(log_probs: &[f32], what: &str) -> Result<(), String> {
    match log_probs.iter().find(|value| **value > 1e-5) {
        Some(value) => Err(format!(
            "a log-probability of {what} is {value}, more than 0"
        )),
        None => Ok(()),
    }
}

fn written(model: &Made, tokens: u32) -> Result<Generation, String> {
    let request = generate(tokens).map_err(fails(GENERATE))?;
    model.client().generate(&request).map_err(fails(GENERATE))
}

fn generation(model: &Made) -> Result<(), String> {
    for limit in [TOKENS, 1] {
        let made = written(model, limit)?;
        let (tokens, log_probs) = (made.tokens.len(), made.log_probs.len());
        if tokens != log_probs {
            return Err(format!(
                "an answer of {tokens} tokens has {log_probs} log-probabilities"
            ));
        }
        if tokens > limit as usize {
            return Err(format!(
                "it was asked for {limit} tokens at most and wrote {tokens}"
            ));
        }
        probable(&made.log_probs, "its own answer")?;
    }
    Ok(())
}

/// Tokens, and a row of log-probabilities for each image.
type Scored = (Vec<crate::Token>, Vec<Vec<f32>>);

fn scored(model: &Made, images: Vec<GrayImage>, answer: &str) -> Result<Scored, String> {
    let asked = images.len();
    let scores = model
        .client()
        .score(&score(images, answer))
        .map_err(fails(SCORE))?;
    let log_probs = scores.log_probs.view_nd::<f32, Ix2>();
    let log_probs = log_probs.map_err(|error| format!("log-probabilities: {error}"))?;
    let expected = (asked, scores.tokens.len());
    if log_probs.dim() != expected {
        return Err(format!(
            "scores of {asked} images and {} tokens have shape {:?}",
            expected.1,
            log_probs.dim()
        ));
    }
    let rows = log_probs
        .rows()
        .into_iter()
        .map(|row| row.to_vec())
        .collect();
    Ok((scores.tokens, rows))
}

fn scores(model: &Made, answer: &str) -> Result<(), String> {
    let (tokens, rows) = scored(model, images().map_err(fails(SCORE))?, answer)?;
    if tokens.is_empty() {
        return Err(format!("the answer `{answer}` has no tokens"));
    }
    rows.iter()
        .try_for_each(|row| probable(row, "a given answer"))
}

fn near(a: &[f32], b: &[f32]) -> bool {
    let close = |(a, b): (&f32, &f32)| a == b || (a - b).abs() <= TOLERANCE;
    a.len() == b.len() && a.iter().zip(b).all(close)
}

fn batch(model: &Made, answer: &str) -> Result<(), String> {
    let images = images().map_err(fails(SCORE))?;
    let (_, together) = scored(model, images.clone(), answer)?;
    for (number, (image, among)) in images.into_iter().zip(together).enumerate() {
        let (_, alone) = scored(model, vec![image], answer)?;
        if !near(&alone[0], &among) {
            return Err(format!(
                "image {number} of a batch scores {among:?}, alone {:?}",
                alone[0]
            ));
        }
    }
    Ok(())
}

fn rescored(model: &Made) -> Result<(), String> {
    let made = written(model, TOKENS)?;
    let (tokens, rows) = scored(
        model,
        vec![scene::working().map_err(fails(SCORE))?],
        &made.text,
    )?;
    // The token that closes the turn does not count as the answer's own.
    let own = tokens.len().min(made.tokens.len());
    if made.log_probs.len() < own || tokens != made.tokens[..own] {
        return Err(format!(
            "it wrote the tokens {:?} and scores {tokens:?}",
            made.tokens
        ));
    }
    match near(&rows[0], &made.log_probs[..own]) {
        true => Ok(()),
        false => Err(format!(
            "its own answer had log-probabilities {:?} when it was written, {:?} when it is scored",
            &made.log_probs[..own],
            rows[0]
        )),
    }
}

fn traced(model: &Made, answer: &str, gradient: bool, score: bool) -> Result<(), String> {
    let info = info(model)?;
    let wants = wants(gradient);
    let request = trace(answer, wants.clone()).map_err(fails(TRACE))?;
    let trace = model.client().trace(&request).map_err(fails(TRACE))?;
    let given: Vec<Want> = trace.captures.iter().map(|capture| capture.want).collect();
    if given != wants {
        return Err(format!("it was asked for {wants:?} and gives {given:?}"));
    }
    let length = trace.layout.input_ids.len();
    let (hidden, heads) = (info.hidden as usize, info.heads as usize);
    let cells = trace.layout.image_positions.len();
    let (rows, columns) = trace.layout.grid;
    if cells as u64 != u64::from(rows) * u64::from(columns) {
        return Err(format!(
            "{cells} image tokens do not make a grid of {rows} x {columns}"
        ));
    }
    if trace.layout.answer.end > length || trace.layout.answer.len() != trace.layout.tokens.len() {
        return Err("the answer's place in the sequence does not hold its tokens".into());
    }
    let pixels = trace.pixel_values.shape().to_vec();
    if pixels.len() != 3 || pixels[0] != 3 {
        return Err(format!("the pixels have shape {pixels:?}, not (3, H, W)"));
    }
    for capture in &trace.captures {
        let shape = match capture.want {
            Want::Features | Want::Gradient(Wrt::Features) => vec![cells, hidden],
            Want::Attention { .. } => vec![heads, length, length],
            Want::Hidden { .. } => vec![length, hidden],
            _ => pixels.clone(),
        };
        shaped(&capture.tensor, &shape, &format!("`{}`", capture.want))?;
    }
    let attention = &trace.captures[1].tensor;
    let attention = attention
        .view_nd::<f32, ndarray::Ix3>()
        .map_err(|error| error.to_string())?;
    let even = |row: ndarray::ArrayView1<'_, f32>| {
        row.iter().all(|&share| share >= 0.0) && (row.sum() - 1.0).abs() < 1e-2
    };
    if !attention.lanes(ndarray::Axis(2)).into_iter().all(even) {
        return Err("a row of attention does not sum to 1".into());
    }
    let tokens = trace.layout.tokens.len();
    answers::shaped(&trace.log_probs, &[tokens], "the trace's log-probabilities")?;
    if score {
        let (_, rows) = scored(model, vec![request.image], answer)?;
        let here = trace
            .log_probs
            .view_nd::<f32, ndarray::Ix1>()
            .map_err(|error| error.to_string())?;
        if !near(&rows[0], &here.to_vec()) {
            return Err(format!(
                "the trace's log-probabilities are {here}, the score's {:?}",
                rows[0]
            ));
        }
    }
    Ok(())
}

fn undeclared<T: Component>(model: &Made, answer: &str) -> Result<(), String> {
    let model = model.client();
    let outcomes = [
        (
            Ability::Generate,
            generate(1)
                .and_then(|request| model.generate(&request))
                .map(drop),
        ),
        (
            Ability::Score,
            images()
                .and_then(|images| model.score(&score(images, answer)))
                .map(drop),
        ),
        (
            Ability::Trace,
            trace(answer, wants(false))
                .and_then(|request| model.trace(&request))
                .map(drop),
        ),
    ];
    for (ability, outcome) in outcomes {
        if T::ABILITIES.contains(&ability) {
            continue;
        }
        let name = ability.name();
        match outcome {
            Err(error) if error.kind == ErrorKind::Unsupported => {}
            Err(error) => {
                return Err(format!(
                    "`{name}` is not declared, and not unsupported: {error}"
                ));
            }
            Ok(()) => {
                return Err(format!(
                    "it can `{name}`, which `Component::ABILITIES` does not declare"
                ));
            }
        }
    }
    Ok(())
}
