//! Second phase: projector and decoder learn to answer, while the tower goes on seeing.
//!
//! Each image is encoded once and asked about several times. Half of the questions have a positive
//! answer, whatever the finding.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::Result;
use medfocus_lvlm::network::Network;
use medfocus_phantom::Finding;
use medfocus_torch::tch::{Kind, Reduction, Tensor, no_grad};

use super::batch::Batch;
use super::corpus::Task;
use super::questions::{Phrases, Question, Sequences, ask};
use super::sample::Truth;
use super::student::{Student, see};
use super::worker::Worker;
use crate::optimiser::{Adam, schedule};

/// Probability left to the opposite of a direct answer, so that what is blanked can lower it.
const DOUBT: f64 = 0.025;
/// Weight of the tower's own task.
const AUXILIARY: f64 = 0.3;

/// How the second phase is run.
pub struct Plan {
    pub steps: usize,
    /// Images in a step.
    pub images: usize,
    /// Questions in a step.
    pub questions: usize,
    /// How often each of [`Task::ALL`] is set, relative to the others.
    pub tasks: Vec<u32>,
    /// Highest learning rate of projector and decoder.
    pub rate: f64,
    /// The tower's learning rate relative to it.
    pub tower: f64,
}

/// Trains everything on questions, with the dense head as an auxiliary task.
pub fn train<S: Student>(
    parameters: &BTreeMap<String, Tensor>,
    workers: &mut [Worker<S>],
    test: &Batch,
    plan: &Plan,
) -> Result<()> {
    let seeing = |name: &str| S::sees(name) || name.starts_with("dense_head");
    let mut optimiser = Adam::new(parameters, |name| {
        Some(if seeing(name) { plan.tower } else { 1.0 })
    });
    let share = (plan.images / workers.len(), plan.questions / workers.len());
    let start = Instant::now();
    let mut means = [0.0; 2];
    for step in 1..=plan.steps {
        let rate = schedule(plan.rate, step as f64 / plan.steps as f64);
        let losses = optimiser.step(rate, workers, |worker| loss(worker, share, &plan.tasks))?;
        for own in &losses {
            for (mean, own) in means.iter_mut().zip(own) {
                *mean += own / (50 * losses.len()) as f64;
            }
        }
        if step % 50 == 0 {
            let [direct, other] = means;
            println!(
                "language step {step} direct {direct:.4} other {other:.4} after {:.0?}",
                start.elapsed()
            );
            means = [0.0; 2];
        }
        if step % 200 == 0 || step == plan.steps {
            let Worker { model, phrases, .. } = &mut workers[0];
            for (finding, [yes, no]) in Finding::ALL
                .into_iter()
                .zip(accuracy(model, test, phrases)?)
            {
                print!("  {} {yes:.2}/{no:.2}", finding.name());
            }
            println!();
        }
    }
    Ok(())
}

/// Loss of fresh images and questions, and the mean loss of an answer, direct and other.
fn loss<S: Student>(
    worker: &mut Worker<S>,
    (images, count): (usize, usize),
    tasks: &[u32],
) -> Result<(Tensor, [f64; 2])> {
    let Worker {
        model,
        head,
        feed,
        phrases,
        rng,
    } = worker;
    let batch = Batch::new(feed.take(images));
    let questions = ask(&batch, count, tasks, rng);
    let (patches, features) = see(model, &batch.pixels)?;
    let mut loss = head.loss(&patches, &batch) * AUXILIARY;
    let (direct, other): (Vec<_>, Vec<_>) = questions
        .iter()
        .partition(|question| question.task == Task::Direct);
    let mut means = [0.0; 2];
    for (questions, mean) in [direct, other].iter().zip(&mut means) {
        let Some(sequences) = Sequences::new(questions, &batch, phrases)? else {
            continue;
        };
        let logits = sequences.logits(model, &features)?;
        // Summed over an answer's tokens, so that the verdict weighs the same in long and short ones.
        let cross = |targets: &Tensor| {
            logits.cross_entropy_loss(targets, None::<&Tensor>, Reduction::Sum, -100, 0.0)
        };
        let sum = cross(&sequences.targets) * (1.0 - DOUBT) + cross(&sequences.opposites) * DOUBT;
        *mean = sum.double_value(&[]) / questions.len() as f64;
        loss += sum / count as f64;
    }
    Ok((loss, means))
}

/// Share of right direct answers on images with and on as many images without each finding.
fn accuracy<N: Network>(model: &N, test: &Batch, phrases: &mut Phrases) -> Result<Vec<[f64; 2]>> {
    no_grad(|| {
        let (_, features) = see(model, &test.pixels)?;
        Finding::ALL
            .into_iter()
            .map(|finding| {
                let with = |present: bool| {
                    let images = (0..test.len()).filter(move |&image| {
                        matches!(test.truths[image][finding as usize], Truth::Present(..))
                            == present
                    });
                    images
                        .map(|image| Question {
                            image,
                            finding,
                            task: Task::Direct,
                        })
                        .collect::<Vec<_>>()
                };
                let positive = with(true);
                let mut negative = with(false);
                negative.truncate(positive.len());
                let mut share = |questions: &[Question]| -> Result<f64> {
                    let questions: Vec<&Question> = questions.iter().collect();
                    let Some(sequences) = Sequences::new(&questions, test, phrases)? else {
                        return Ok(0.0);
                    };
                    let logits = sequences.logits(model, &features)?;
                    // Only the first token of an answer has an opposite.
                    let verdict = sequences.targets.ne_tensor(&sequences.opposites);
                    let right = logits
                        .argmax(-1, false)
                        .eq_tensor(&sequences.targets)
                        .logical_and(&verdict);
                    let count = |flags: &Tensor| flags.sum(Kind::Int64).int64_value(&[]) as f64;
                    Ok(count(&right) / count(&verdict))
                };
                Ok([share(&positive)?, share(&negative)?])
            })
            .collect()
    })
}
