//! Trains the demonstration checkpoint: Gemma 3 in small, on chest phantoms rendered on the fly.
//!
//! ```text
//! cargo run --release -p medfocus-trainer -- --out stage-1
//! cargo run --release -p medfocus-trainer -- --from stage-1 --tasks 30,20,30,20 --language-steps 850 --out phantom-gemma3
//! ```
//!
//! The second stage teaches the checkpoint to point: more boxes and regions among the questions.
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
mod corpus;
mod evaluate;
mod export;
mod feed;
mod initial;
mod language;
mod optimiser;
mod questions;
mod sample;
mod tokenizer;
mod tower;
mod worker;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use medfocus_model_gemma3::config::Config;
use medfocus_torch::checkpoint::Checkpoint;
use medfocus_torch::tch::{self, Tensor};
use serde_json::{Value, json};

use crate::export::{RECORD, Staging};
use crate::feed::Batch;
use crate::language::Plan;
use crate::sample::Purpose;
use crate::tower::DenseHead;
use crate::worker::Worker;

/// Trains the demonstration checkpoint.
#[derive(Parser)]
struct Arguments {
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
    /// Patients with and without each finding to measure on.
    #[arg(long, default_value_t = 60)]
    patients: u64,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
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
        train(&arguments)?;
    }
    measure(&arguments)
}

/// Trains and writes the checkpoint with a record of how.
fn train(arguments: &Arguments) -> Result<()> {
    tch::manual_seed(arguments.seed);
    let tokenizer = tokenizer::train(&corpus::all_texts())?;
    let settings = architecture::config(tokenizer::size(&tokenizer)?);
    let config = Config::parse(&settings.to_string())?;
    let staging = Staging::new(&arguments.out)?;
    staging.write_settings(&settings, &tokenizer)?;

    let test = Batch::draw(evaluate::FIRST_SEED, 300, Purpose::Testing);
    // Below the patients of the measurements, above those of any training.
    let first = Batch::draw(evaluate::FIRST_SEED - 300, 300, Purpose::Training);
    let (parameters, mut stages) = match &arguments.from {
        None => (initial::parameters(&config, &first.pixels)?, Vec::new()),
        Some(folder) => (stored(folder, &config)?, stages(folder)?),
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
            Worker::new(
                first_seed + (number << 32),
                &config,
                &parameters,
                &head,
                staging.folder(),
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
        "seconds": start.elapsed().as_secs(),
    }));
    let size: usize = parameters.values().map(Tensor::numel).sum();
    let prompts: BTreeMap<String, String> = corpus::Task::ALL
        .into_iter()
        .map(|task| (task.name().to_owned(), task.question("{finding}")))
        .collect();
    staging.write_json(
        RECORD,
        &json!({"parameters": size, "prompts": prompts, "stages": stages}),
    )?;
    staging.write_weights(&parameters)?;
    staging.publish()
}

/// Measures the checkpoint of the output folder and adds the result to its record.
fn measure(arguments: &Arguments) -> Result<()> {
    let backend = evaluate::open(&arguments.out)?;
    let measured = evaluate::evaluate(
        &backend,
        arguments.patients,
        (arguments.patients / 4) as usize,
    )?;
    let mut record = record(&arguments.out)?;
    record["measured"] = json!({
        "patients_with_and_without_each_finding": arguments.patients,
        "first_patient": evaluate::FIRST_SEED,
        "findings": measured,
    });
    export::write_json(&arguments.out, RECORD, &record)
}

/// The parameters of a checkpoint.
fn stored(folder: &Path, config: &Config) -> Result<BTreeMap<String, Tensor>> {
    let checkpoint = Checkpoint::open(folder)?;
    let shapes = medfocus_model_gemma3::Gemma3::parameters(config)?;
    let read = |(name, shape): (String, Vec<i64>)| {
        let value = checkpoint
            .read(&name)?
            .to_kind(tch::Kind::Float)
            .set_requires_grad(true);
        ensure!(
            value.size() == shape,
            "{name} in {} has another shape than this program gives it",
            folder.display()
        );
        Ok((name, value))
    };
    shapes.into_iter().map(read).collect()
}

fn record(folder: &Path) -> Result<Value> {
    let path = folder.join(RECORD);
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("{} cannot be read", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not JSON", path.display()))
}

/// How a checkpoint was trained so far.
fn stages(folder: &Path) -> Result<Vec<Value>> {
    let record = record(folder)?;
    let stages = record["stages"].as_array();
    Ok(stages
        .with_context(|| format!("{RECORD} in {} lists no stages", folder.display()))?
        .clone())
}
