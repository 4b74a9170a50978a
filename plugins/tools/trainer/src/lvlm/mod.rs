//! Language models that see, in small: questions about the findings of phantoms.
//!
//! ```text
//! cargo run --release -p medfocus-trainer -- gemma3 --out stage-1
//! cargo run --release -p medfocus-trainer -- gemma3 --from stage-1 --tasks 30,20,30,20 --language-steps 850 --out phantom-gemma3
//! ```
//!
//! The second stage teaches the checkpoint to point: more boxes and regions among the questions. `qwen2_5_vl` in place of
//! `gemma3` trains the other architecture; what is each one's own is in [`gemma3`] and [`qwen2_5_vl`].
//!
//! A stage has three steps, of which the second stage leaves out the first.
//!
//! 1. The image tower learns to see every finding in every patch ([`tower`]).
//! 2. Projector and decoder learn to answer questions ([`language`]).
//! 3. The result is measured on patients it has never seen ([`evaluate`]).
//!
//! `TRAINING.json`, written beside the weights, tells the settings and what was measured. `--from` goes
//! on with the second phase of an existing checkpoint; `--evaluate-only` measures one again.

mod architecture;
mod batch;
mod corpus;
mod dense;
mod evaluate;
pub mod gemma3;
mod language;
mod questions;
pub mod qwen2_5_vl;
mod sample;
mod settings;
mod student;
mod tokenizer;
mod tower;
mod worker;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, ensure};
use clap::Args;
use medfocus_lvlm::network::Family;
use medfocus_torch::tch::{self, Tensor};
use serde_json::json;

use self::batch::Batch;
use self::dense::DenseHead;
use self::language::Plan;
use self::sample::Purpose;
use self::student::Student;
use self::worker::Worker;
use crate::checkpoint::{self, RECORD, Staging};
use crate::feed::FIRST_TEST_SEED;

/// What to train.
#[derive(Args)]
pub struct Arguments {
    /// Checkpoint folder to write.
    #[arg(long)]
    out: PathBuf,
    /// Go on from this checkpoint, without the tower's own phase.
    #[arg(long)]
    from: Option<PathBuf>,
    /// Only measure the checkpoint that is in the output folder.
    #[arg(long, conflicts_with = "from")]
    evaluate_only: bool,
    /// Seed of the initial weights.
    #[arg(long, default_value_t = 1)]
    seed: i64,
    /// Threads; the result depends on their number.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Steps of the tower's phase.
    #[arg(long, default_value_t = 550)]
    tower_steps: usize,
    /// Images in a step of the tower's phase.
    #[arg(long, default_value_t = 32)]
    tower_images: usize,
    /// Steps of the language phase.
    #[arg(long, default_value_t = 800)]
    language_steps: usize,
    /// Images in a step of the language phase.
    #[arg(long, default_value_t = 16)]
    images: usize,
    /// Questions in a step of the language phase.
    #[arg(long, default_value_t = 64)]
    questions: usize,
    /// How often each task is set, relative to the others: direct, reasoning, boxes, regions.
    #[arg(long, value_delimiter = ',', default_value = "60,20,12,8")]
    tasks: Vec<u32>,
    /// Highest learning rate.
    #[arg(long, default_value_t = 1.5e-3)]
    rate: f64,
    /// Share of the films that are as large as real ones.
    #[arg(long, default_value_t = 0.25)]
    large: f64,
    /// Patients with and without each finding to measure on.
    #[arg(long, default_value_t = 60)]
    patients: u64,
}

/// Trains, unless told not to, and measures.
pub fn run<S: Student>(arguments: &Arguments) -> Result<()> {
    ensure!(
        (1..=arguments.images.min(arguments.tower_images)).contains(&arguments.threads),
        "--threads must be at least 1 and at most the images in a step"
    );
    ensure!(
        arguments.tasks.len() == corpus::Task::ALL.len() && arguments.tasks.iter().sum::<u32>() > 0,
        "--tasks takes four numbers divided by commas, not all zero"
    );
    tch::set_num_threads(1);
    if !arguments.evaluate_only {
        train::<S>(arguments)?;
    }
    measure::<S>(arguments)
}

/// Trains and writes the checkpoint with a record of how.
fn train<S: Student>(arguments: &Arguments) -> Result<()> {
    tch::manual_seed(arguments.seed);
    let staging = Staging::new(&arguments.out)?;
    settings::write::<S>(&staging)?;
    let config = S::Family::config(staging.folder())?;
    let shapes = student::shapes::<S>(&config)?;

    let test = Batch::draw(FIRST_TEST_SEED, 300, Purpose::Testing);
    // Below the patients of the measurements, above those of any training.
    let first = Batch::draw(
        FIRST_TEST_SEED - 300,
        300,
        Purpose::Training {
            large: arguments.large,
        },
    );
    let (parameters, mut stages) = match &arguments.from {
        None => (initial::<S>(shapes, &first.pixels), Vec::new()),
        Some(folder) => (
            checkpoint::stored(folder, shapes)?,
            checkpoint::stages(folder)?,
        ),
    };
    let head = DenseHead::new(&first);
    let mut trained = head.parameters();
    trained.extend(
        parameters
            .iter()
            .map(|(name, value)| (name.clone(), value.shallow_clone())),
    );
    // Every stage sees patients of its own.
    let first_seed = (stages.len() as u64) << 36;
    let mut workers = (0..arguments.threads as u64)
        .map(|number| {
            Worker::<S>::new(
                first_seed + (number << 32),
                &config,
                &parameters,
                &head,
                staging.folder(),
                arguments.large,
            )
        })
        .collect::<Result<Vec<_>>>()?;

    let start = Instant::now();
    let tower_steps = if arguments.from.is_none() {
        arguments.tower_steps
    } else {
        0
    };
    tower::train(
        &trained,
        &mut workers,
        &test,
        (tower_steps, arguments.tower_images, arguments.rate),
    )?;
    let plan = Plan {
        steps: arguments.language_steps,
        images: arguments.images,
        questions: arguments.questions,
        tasks: arguments.tasks.clone(),
        rate: arguments.rate,
        tower: 0.3,
    };
    language::train(&trained, &mut workers, &test, &plan)?;

    stages.push(json!({
        "seed": arguments.seed,
        "threads": arguments.threads,
        "first_patient": first_seed,
        "tower_steps": tower_steps,
        "tower_images": arguments.tower_images,
        "language_steps": arguments.language_steps,
        "images": arguments.images,
        "questions": arguments.questions,
        "tasks": arguments.tasks,
        "rate": arguments.rate,
        "large": arguments.large,
        "seconds": start.elapsed().as_secs(),
    }));
    let size: usize = parameters.values().map(Tensor::numel).sum();
    let prompts: BTreeMap<String, String> = corpus::Task::ALL
        .into_iter()
        .map(|task| (task.name().to_owned(), task.question("{finding}", S::BOXES)))
        .collect();
    staging.write_json(
        RECORD,
        &json!({"parameters": size, "prompts": prompts, "stages": stages}),
    )?;
    staging.write_weights(&parameters, S::FORMAT)?;
    staging.publish()
}

/// Fresh parameters by their names in the checkpoint.
fn initial<S: Student>(
    shapes: BTreeMap<String, Vec<i64>>,
    pixels: &Tensor,
) -> BTreeMap<String, Tensor> {
    let fresh = |(name, shape): (String, Vec<i64>)| {
        let values = S::initial(&name, &shape, pixels);
        (name, values.copy().set_requires_grad(true))
    };
    shapes.into_iter().map(fresh).collect()
}

/// Measures the checkpoint of the output folder and adds the result to its record.
fn measure<S: Student>(arguments: &Arguments) -> Result<()> {
    let backend = evaluate::open::<S>(&arguments.out)?;
    let measured = evaluate::evaluate::<S>(
        &backend,
        arguments.patients,
        (arguments.patients / 4) as usize,
    )?;
    let mut record = checkpoint::record(&arguments.out)?;
    record["measured"] = json!({
        "patients_with_and_without_each_finding": arguments.patients,
        "first_patient": FIRST_TEST_SEED,
        "findings": measured,
    });
    checkpoint::write_json(&arguments.out, RECORD, &record)
}
