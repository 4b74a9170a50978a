//! Trains the demonstration checkpoints on chest phantoms rendered on the fly, through the code that runs them.
//!
//! - [`lvlm`]: Gemma 3 and Qwen2.5-VL in small, which answer questions about findings;
//! - [`medsam`]: the SAM architecture in small, which refines boxes to regions.
//!
//! Each writes a folder in the layout of the Hugging Face hub. `TRAINING.json`, beside the weights, tells the settings
//! and what was measured on patients never seen in training. Training patients have seeds below 2^40.

mod checkpoint;
mod feed;
mod film;
mod lvlm;
mod medsam;
mod optimiser;
mod patches;

use anyhow::Result;
use clap::Parser;

use lvlm::gemma3::Gemma3;
use lvlm::qwen2_5_vl::Qwen2_5Vl;

/// Trains a demonstration checkpoint.
#[derive(Parser)]
enum Command {
    /// Gemma 3 in small: questions about findings.
    Gemma3(lvlm::Arguments),
    /// Qwen2.5-VL in small: the same questions.
    #[command(name = "qwen2_5_vl")]
    Qwen2_5Vl(lvlm::Arguments),
    /// SAM in small: boxes to regions.
    Medsam(medsam::Arguments),
}

fn main() -> Result<()> {
    match Command::parse() {
        Command::Gemma3(arguments) => lvlm::run::<Gemma3>(&arguments),
        Command::Qwen2_5Vl(arguments) => lvlm::run::<Qwen2_5Vl>(&arguments),
        Command::Medsam(arguments) => medsam::run(&arguments),
    }
}
