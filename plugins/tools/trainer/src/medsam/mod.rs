//! SAM in small: boxes to regions of phantoms.
//!
//! ```text
//! cargo run --release -p medfocus-trainer -- medsam --out phantom-medsam
//! ```
//!
//! Every step draws new patients and asks for some of their concepts and findings, each by a box that is more or less
//! off ([`prompt`]). `--from` goes on with an existing checkpoint; `--evaluate-only` measures one again.

mod architecture;
mod augment;
mod concepts;
mod dense;
mod evaluate;
mod initial;
mod loss;
mod prompt;
mod sample;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, ensure};
use clap::Args;
use medfocus_torch::tch::{self, Kind, Tensor};
use medfocus_torch::weights::Weights;
use medfocus_vision_medsam::Sam;
use medfocus_vision_medsam::config::Config;
use medfocus_vision_medsam::processor::Processor;
use serde_json::{Value, json};

use self::architecture::MASK_SIDE;
use self::dense::{DenseHead, REGIONS};
use self::sample::Sample;
use crate::checkpoint::{self, Format, RECORD, Staging};
use crate::feed::{FIRST_TEST_SEED, Feed};
use crate::film::WORKING_SIDE;
use crate::optimiser::{Adam, schedule};

/// Steps between reports.
const REPORT: usize = 25;
/// Steps between checkpoints.
const SAVE: usize = 200;
/// What boxes never use: clicks, masks as prompts, the frequencies, which are not learnt, and the mask for many clicks.
const UNUSED: [&str; 6] = [
    "shared_image_embedding",
    "prompt_encoder.mask_embed",
    "prompt_encoder.not_a_point_embed",
    "prompt_encoder.point_embed.0",
    "prompt_encoder.point_embed.1",
    "mask_decoder.output_hypernetworks_mlps.0",
];
const MODEL_CARD: &str = include_str!("model_card.md");

/// What to train.
#[derive(Args)]
pub struct Arguments {
    /// Checkpoint folder to write.
    #[arg(long)]
    out: PathBuf,
    /// Go on from this checkpoint.
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
    /// Steps.
    #[arg(long, default_value_t = 4500)]
    steps: usize,
    /// Images in a step.
    #[arg(long, default_value_t = 2)]
    images: usize,
    /// Highest learning rate.
    #[arg(long, default_value_t = 1e-3)]
    rate: f64,
    /// Patients to measure on.
    #[arg(long, default_value_t = 60)]
    patients: u64,
}

/// Trains, unless told not to, and measures.
pub fn run(arguments: &Arguments) -> Result<()> {
    ensure!(
        (1..=arguments.images).contains(&arguments.threads),
        "--threads must be at least 1 and at most the images in a step"
    );
    tch::set_num_threads(1);
    if !arguments.evaluate_only {
        train(arguments)?;
    }
    let backend = evaluate::open(&arguments.out)?;
    let mut record = checkpoint::record(&arguments.out)?;
    record["measured"] = json!({
        "patients": arguments.patients,
        "first_patient": FIRST_TEST_SEED,
        "regions": evaluate::evaluate(&backend, arguments.patients)?,
        "medfocus": concepts::evaluate(&backend, arguments.patients)?,
    });
    checkpoint::write_json(&arguments.out, RECORD, &record)
}

/// What one training thread needs: the common parameters, and a stream of images of its own.
struct Worker {
    config: Config,
    processor: Processor,
    parameters: BTreeMap<String, Tensor>,
    head: DenseHead,
    feed: Feed<Sample>,
}

impl Worker {
    fn new(
        first_seed: u64,
        config: &Config,
        parameters: &BTreeMap<String, Tensor>,
        head: &DenseHead,
    ) -> Result<Self> {
        Ok(Worker {
            config: config.clone(),
            processor: processor()?,
            parameters: shared(parameters).collect(),
            head: head.share(),
            feed: Feed::start(first_seed, sample::draw),
        })
    }

    /// The loss of fresh images; mean loss and overlap of their boxes, and the dense head's loss.
    fn loss(&self, images: usize) -> Result<(Tensor, [f64; 3])> {
        let samples = self.feed.take(images);
        let weights = Weights::from_tensors(shared(&self.parameters).collect());
        let sam = Sam::new(self.config.clone(), &weights)?;
        let embeddings = sam.encode(&pixels(&self.processor, &samples)?, &|_| Ok(()))?;
        let side = MASK_SIDE as i64;
        let cover: Vec<f32> = samples
            .iter()
            .flat_map(|sample| sample.cover.iter().copied())
            .collect();
        let cover = Tensor::from_slice(&cover).reshape([-1, REGIONS as i64, side, side]);
        let dense = self.head.loss(&embeddings, &cover);
        let mut losses = Vec::new();
        let mut mean = 0.0;
        for (image, sample) in (0..).zip(&samples) {
            let corners = sample
                .boxes
                .iter()
                .map(|(_, bbox)| evaluate::corners(&self.processor, *bbox))
                .collect::<Result<Vec<_>>>()?;
            let kinds: Vec<i64> = sample.boxes.iter().map(|(kind, _)| *kind as i64).collect();
            let targets = cover
                .select(0, image)
                .index_select(0, &Tensor::from_slice(&kinds));
            let decoded = sam.decode(&embeddings.narrow(0, image, 1), &corners)?;
            let (loss, overlap) = loss::loss(&decoded, &targets);
            losses.push(loss);
            mean += overlap / images as f64;
        }
        let loss = Tensor::stack(&losses, 0).mean(Kind::Float);
        let report = [loss.double_value(&[]), mean, dense.double_value(&[])];
        Ok((loss + dense, report))
    }
}

/// The same tensors once more: they may be sent to a thread, but not shared with it.
fn shared(parameters: &BTreeMap<String, Tensor>) -> impl Iterator<Item = (String, Tensor)> {
    parameters
        .iter()
        .map(|(name, value)| (name.clone(), value.shallow_clone()))
}

fn processor() -> Result<Processor> {
    let settings = architecture::preprocessor().to_string();
    Ok(Processor::parse(&settings, WORKING_SIDE as i64)?)
}

/// Pixels `[images, 3, side, side]`.
fn pixels(processor: &Processor, samples: &[Sample]) -> Result<Tensor> {
    let each = samples
        .iter()
        .map(|sample| processor.pixels(sample.image.view()))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Tensor::stack(&each, 0))
}

/// Trains and writes the checkpoint with a record of how.
fn train(arguments: &Arguments) -> Result<()> {
    tch::manual_seed(arguments.seed);
    let config = Config::parse(&architecture::config().to_string())?;
    let (parameters, mut stages) = match &arguments.from {
        Some(folder) => (
            checkpoint::stored(folder, Sam::parameters(&config)?)?,
            checkpoint::stages(folder)?,
        ),
        None => {
            // Below the patients of the measurements, above those of any training.
            let first = Feed::start(FIRST_TEST_SEED - 16, sample::draw).take(16);
            let pixels = pixels(&processor()?, &first)?;
            (initial::parameters(&config, &pixels)?, Vec::new())
        }
    };
    let head = DenseHead::new();
    // Every stage sees patients of its own.
    let first_seed = (stages.len() as u64) << 36;
    let mut workers = (0..arguments.threads as u64)
        .map(|number| Worker::new(first_seed + (number << 32), &config, &parameters, &head))
        .collect::<Result<Vec<_>>>()?;
    let trained = shared(&parameters).chain(head.parameters()).collect();
    let mut optimiser = Adam::new(&trained, |name| {
        let unused = UNUSED.iter().any(|part| name.starts_with(part));
        (!unused).then_some(1.0)
    });
    stages.push(Value::Null);
    let share = arguments.images / workers.len();
    let start = Instant::now();
    let mut means = [0.0; 3];
    for step in 1..=arguments.steps {
        let rate = schedule(arguments.rate, step as f64 / arguments.steps as f64);
        let reports = optimiser.step(rate, &mut workers, |worker| worker.loss(share))?;
        for own in &reports {
            for (mean, own) in means.iter_mut().zip(own) {
                *mean += own / (REPORT * reports.len()) as f64;
            }
        }
        if step % REPORT == 0 {
            let [loss, overlap, dense] = means;
            println!(
                "step {step} loss {loss:.4} overlap {overlap:.4} dense {dense:.4} after {:.0?}",
                start.elapsed()
            );
            means = [0.0; 3];
        }
        if step % SAVE == 0 || step == arguments.steps {
            let last = stages.len() - 1;
            stages[last] = json!({
                "seed": arguments.seed,
                "threads": arguments.threads,
                "first_patient": first_seed,
                "steps": step,
                "images": arguments.images,
                "rate": arguments.rate,
                "seconds": start.elapsed().as_secs(),
            });
            save(arguments, &parameters, &stages)?;
        }
    }
    Ok(())
}

fn save(
    arguments: &Arguments,
    parameters: &BTreeMap<String, Tensor>,
    stages: &[Value],
) -> Result<()> {
    let size: usize = parameters.values().map(Tensor::numel).sum();
    let staging = Staging::new(&arguments.out)?;
    staging.write_json("config.json", &architecture::config())?;
    staging.write_json("preprocessor_config.json", &architecture::preprocessor())?;
    staging.write("README.md", MODEL_CARD.as_bytes())?;
    staging.write_json(RECORD, &json!({"parameters": size, "stages": stages}))?;
    staging.write_weights(parameters, Format::F16)?;
    staging.publish()
}
