//! What a checkpoint can do, measured on patients it has never seen and through the very path that
//! explanations take: a film of any shape, the working image, the checkpoint's own image processor,
//! tokenizer and chat template.

use anyhow::{Context, Result, anyhow};
use medfocus_imaging::working::letterbox;
use medfocus_lvlm::network::{Family, Network};
use medfocus_lvlm::{Backend, forward};
use medfocus_phantom::{CaseOptions, Finding, FindingInstance, PixelBox, Renderer, sample_case};
use medfocus_plugin_api::{GenerateRequest, GrayImage};
use medfocus_torch::tch::{Kind, Tensor, no_grad};
use ndarray::{Array2, s};
use serde_json::{Map, Value, json};

use super::architecture::IMAGE_SIDE;
use super::corpus::Task;
use super::student::Student;
use crate::feed::FIRST_TEST_SEED;
use crate::film::{WORKING_SIDE, content};

/// Height and width of the films.
const FILMS: [(usize, usize); 4] = [(512, 512), (512, 640), (640, 512), (448, 512)];

/// A working image, and the finding asked about if it is there.
struct Exam {
    image: Array2<u8>,
    found: Option<(FindingInstance, PixelBox)>,
}

/// Draws `count` exams with and as many without a finding.
fn exams(finding: Finding, count: u64) -> Vec<Exam> {
    let mut renderer = Renderer::default();
    let numbers = 0..2 * count;
    numbers
        .map(|number| {
            let present = number % 2 == 0;
            let mut options = CaseOptions {
                require: present.then_some(finding),
                ..CaseOptions::default()
            };
            options.findings.retain(|&other| other != finding);
            let seed = FIRST_TEST_SEED + ((finding as u64) << 20) + number;
            let case = sample_case(seed, &options);
            let (height, width) = FILMS[number as usize / 2 % FILMS.len()];
            let rendered = renderer.render(&case.patient, &case.findings, height, width);
            let found = case
                .findings
                .iter()
                .position(|instance| instance.finding == finding)
                .and_then(|index| {
                    let on_film = rendered.finding_box(index)?;
                    Some((
                        case.findings[index].clone(),
                        working_box(on_film, height, width),
                    ))
                });
            Exam {
                image: letterbox(rendered.image.view(), WORKING_SIDE as u32),
                found,
            }
        })
        .collect()
}

/// A box of the film in the working image, rounded outwards.
fn working_box(found: PixelBox, height: usize, width: usize) -> PixelBox {
    let [left, top, _, bottom] = content(height, width);
    let scale = (bottom - top) as f64 / height as f64;
    let low = |pixel: usize, pad: usize| pad + (pixel as f64 * scale).floor() as usize;
    let high =
        |pixel: usize, pad: usize| (pad + (pixel as f64 * scale).ceil() as usize).min(WORKING_SIDE);
    PixelBox {
        x1: low(found.x1, left),
        y1: low(found.y1, top),
        x2: high(found.x2, left),
        y2: high(found.y2, top),
    }
}

/// Measures a checkpoint on `count` patients with and `count` without each finding; the tasks that
/// generate text use the first `spoken` of each.
pub fn evaluate<S: Student>(
    backend: &Backend<S::Family>,
    count: u64,
    spoken: usize,
) -> Result<Value> {
    let mut report = Map::new();
    for finding in Finding::ALL {
        let exams = exams(finding, count);
        let row = no_grad(|| measure::<S>(backend, finding, &exams, spoken))?;
        println!("{}: {row}", finding.name());
        report.insert(finding.name().to_owned(), row);
    }
    Ok(Value::Object(report))
}

fn measure<S: Student>(
    backend: &Backend<S::Family>,
    finding: Finding,
    exams: &[Exam],
    spoken: usize,
) -> Result<Value> {
    let (positive, negative): (Vec<&Exam>, Vec<&Exam>) =
        exams.iter().partition(|exam| exam.found.is_some());
    let ask = |images: &[Array2<u8>]| chances::<S>(backend, finding, images);
    let plain = |exams: &[&Exam]| {
        exams
            .iter()
            .map(|exam| exam.image.clone())
            .collect::<Vec<_>>()
    };
    let (yes, no) = (ask(&plain(&positive))?, ask(&plain(&negative))?);
    let found: Vec<(&Exam, PixelBox)> = positive
        .iter()
        .filter_map(|exam| Some((*exam, exam.found.as_ref()?.1)))
        .collect();
    let hidden: Vec<_> = found
        .iter()
        .map(|(exam, there)| blank(&exam.image, *there))
        .collect();
    let elsewhere: Vec<_> = found
        .iter()
        .map(|(exam, there)| blank(&exam.image, mirrored(*there)))
        .collect();

    let mut right = [(0, 0); 3];
    let (mut overlap, mut boxes) = (0.0, 0);
    for exam in positive
        .iter()
        .take(spoken)
        .chain(negative.iter().take(spoken))
    {
        let say = |task: Task| {
            let question = task.question(finding.name(), S::BOXES);
            say(backend, question, &exam.image)
        };
        let (reasoning, drawn, named) = (
            say(Task::Reasoning)?,
            say(Task::Boxes)?,
            say(Task::Regions)?,
        );
        let outcomes = match &exam.found {
            Some((instance, there)) => {
                let side = WORKING_SIDE as f64;
                let share = S::BOXES.read(&drawn).map_or(0.0, |drawn| {
                    intersection_over_union(drawn.map(|share| share * side), *there)
                });
                overlap += share;
                boxes += 1;
                let region = format!("[\"{}\"]", instance.region_phrase());
                [
                    verdict(&reasoning) == Some(true),
                    share >= 0.5,
                    named == region,
                ]
            }
            None => [
                verdict(&reasoning) == Some(false),
                drawn == "[]",
                named == "[]",
            ],
        };
        for ((good, all), outcome) in right.iter_mut().zip(outcomes) {
            *good += u32::from(outcome);
            *all += 1;
        }
    }
    let share = |good: usize, all: usize| round(good as f64 / all.max(1) as f64);
    let [reasoning, drawn, named] = right.map(|(good, all)| share(good as usize, all as usize));
    Ok(json!({
        "direct_positive": share(yes.iter().filter(|&&p| p > 0.5).count(), yes.len()),
        "direct_negative": share(no.iter().filter(|&&p| p < 0.5).count(), no.len()),
        "p_yes_with": mean(&yes),
        "p_yes_finding_blanked": mean(&ask(&hidden)?),
        "p_yes_mirror_blanked": mean(&ask(&elsewhere)?),
        "p_yes_without": mean(&no),
        "reasoning": reasoning,
        "boxes_right": drawn,
        "boxes_iou": round(overlap / f64::from(boxes.max(1))),
        "regions": named,
    }))
}

/// Probability of "Yes" against "No" for each image.
fn chances<S: Student>(
    backend: &Backend<S::Family>,
    finding: Finding,
    images: &[Array2<u8>],
) -> Result<Vec<f64>> {
    let (model, prompter) = (backend.network(), backend.prompter());
    let grid = model.grid(IMAGE_SIDE as i64, IMAGE_SIDE as i64);
    let question = Task::Direct.question(finding.name(), S::BOXES);
    let ids = prompter.question(&question, grid.tokens())?;
    let words = Tensor::from_slice(&[prompter.first_token("Yes")?, prompter.first_token("No")?]);
    let pixels: Vec<Tensor> = images
        .iter()
        .map(|image| backend.processor().pixels(image.view()))
        .collect::<Result<_, _>>()?;
    let features = forward::features(model, &Tensor::stack(&pixels, 0))?;
    let embedded = forward::embed(model, &ids, &features)?;
    let hidden = forward::run(model, &embedded, &model.prefill(&ids, grid)?, None)?;
    let logits = model.logits(&hidden.select(1, -1))?;
    Ok(Vec::<f64>::try_from(
        logits
            .index_select(1, &words)
            .softmax(1, Kind::Double)
            .select(1, 0),
    )?)
}

fn say<F: Family>(backend: &Backend<F>, question: String, image: &Array2<u8>) -> Result<String> {
    let request = GenerateRequest::new(
        GrayImage::from_array(image.clone()).map_err(|error| anyhow!("{error}"))?,
        question,
        64,
    );
    Ok(backend.generate(&request, &|_, _| Ok(()))?.text)
}

/// The image with a box set to zero.
fn blank(image: &Array2<u8>, there: PixelBox) -> Array2<u8> {
    let mut image = image.clone();
    image
        .slice_mut(s![there.y1..there.y2, there.x1..there.x2])
        .fill(0);
    image
}

/// A box of the same size that the finding is not in: turned by half around the middle of the image.
fn mirrored(there: PixelBox) -> PixelBox {
    PixelBox {
        x1: WORKING_SIDE - there.x2,
        y1: WORKING_SIDE - there.y2,
        x2: WORKING_SIDE - there.x1,
        y2: WORKING_SIDE - there.y1,
    }
}

/// The last yes or no of a text.
fn verdict(text: &str) -> Option<bool> {
    text.to_lowercase()
        .split(|sign: char| !sign.is_alphabetic())
        .filter_map(|word| match word {
            "yes" => Some(true),
            "no" => Some(false),
            _ => None,
        })
        .next_back()
}

fn intersection_over_union([y1, x1, y2, x2]: [f64; 4], there: PixelBox) -> f64 {
    let [ty1, tx1, ty2, tx2] = [there.y1, there.x1, there.y2, there.x2].map(|pixel| pixel as f64);
    let common = (y2.min(ty2) - y1.max(ty1)).max(0.0) * (x2.min(tx2) - x1.max(tx1)).max(0.0);
    common / ((y2 - y1) * (x2 - x1) + (ty2 - ty1) * (tx2 - tx1) - common)
}

fn mean(values: &[f64]) -> f64 {
    round(values.iter().sum::<f64>() / values.len().max(1) as f64)
}

fn round(share: f64) -> f64 {
    (share * 1000.0).round() / 1000.0
}

/// The checkpoint of this folder, in f32 on the CPU.
pub fn open<S: Student>(folder: &std::path::Path) -> Result<Backend<S::Family>> {
    Backend::from_folder(folder, medfocus_torch::tch::Device::Cpu, Kind::Float, 32)
        .with_context(|| format!("{} is not a checkpoint", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_verdict_counts() {
        assert_eq!(verdict("No round spot. The answer is yes."), Some(true));
        assert_eq!(verdict("Yesterday nothing was noticed"), None);
        assert_eq!(verdict("no"), Some(false));
    }

    #[test]
    fn boxes_are_compared_in_pixels() {
        let there = PixelBox {
            x1: 56,
            y1: 0,
            x2: 112,
            y2: 112,
        };
        let whole = [0.0, 56.0, 112.0, 112.0];
        assert_eq!(intersection_over_union(whole, there), 1.0);
        let half = [0.0, 56.0, 56.0, 112.0];
        assert_eq!(intersection_over_union(half, there), 0.5);
    }

    #[test]
    fn a_box_of_the_film_lies_in_the_letterbox() {
        let film = PixelBox {
            x1: 0,
            y1: 0,
            x2: 640,
            y2: 512,
        };
        let working = PixelBox {
            x1: 0,
            y1: 22,
            x2: 224,
            y2: 201,
        };
        assert_eq!(working_box(film, 512, 640), working);
    }
}
