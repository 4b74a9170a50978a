//! Trains the demonstration checkpoint: Gemma 3 in small, on chest phantoms rendered on the fly.

mod architecture;
mod corpus;
mod export;
mod feed;
mod initial;
mod language;
mod optimiser;
mod sample;
mod tokenizer;
mod tower;
mod worker;

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;
use medfocus_model_gemma3::config::Config;
use medfocus_torch::tch;

use crate::export::Staging;
use crate::feed::Batch;
use crate::language::Plan;
use crate::sample::Purpose;
use crate::tower::DenseHead;
use crate::worker::Worker;

#[derive(Parser)]
struct Arguments {
    #[arg(long)]
    out: PathBuf,
    #[arg(long, default_value_t = 500)]
    tower_steps: usize,
    #[arg(long, default_value_t = 1200)]
    language_steps: usize,
    #[arg(long, default_value_t = 1e-3)]
    rate: f64,
    #[arg(long, default_value_t = 2)]
    threads: usize,
    #[arg(long, default_value_t = 32)]
    images: usize,
    #[arg(long, default_value_t = 1)]
    seed: i64,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    tch::set_num_threads(1);
    tch::manual_seed(arguments.seed);
    let file = tokenizer::train(&corpus::all_texts())?;
    let tokenizer = tokenizer::open(&file)?;
    let vocabulary = tokenizer.get_vocab_size(true);
    println!("{vocabulary} tokens");
    let settings = architecture::config(vocabulary);
    let config = Config::parse(&settings.to_string())?;
    let staging = Staging::new(&arguments.out)?;
    staging.write_settings(&settings, &file)?;

    let test = Batch::draw(1 << 40, 300, Purpose::Testing);
    let first = Batch::draw(1 << 41, 300, Purpose::Training);
    let parameters = initial::parameters(&config, &first.pixels)?;
    let head = DenseHead::new(&first);
    let mut workers = (0..arguments.threads as u64)
        .map(|number| Worker::new(number, &config, &parameters, &head, staging.folder()))
        .collect::<Result<Vec<_>>>()?;
    let mut trained = head.parameters();
    trained.extend(parameters.iter().map(|(name, value)| (name.clone(), value.shallow_clone())));
    tower::train(&trained, &mut workers, &test, (arguments.tower_steps, arguments.images, arguments.rate))?;
    let plan = Plan {
        steps: arguments.language_steps,
        images: 16,
        questions: 64,
        rate: arguments.rate,
        tower: 0.3,
    };
    language::train(&trained, &mut workers, &test, plan)?;
    staging.write_weights(&parameters)?;
    staging.publish()
}
