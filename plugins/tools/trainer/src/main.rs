//! Trains the demonstration checkpoints on chest phantoms rendered on the fly, through the code that runs them.
//!
//! - [`gemma3`]: Gemma 3 in small, which answers questions about findings;
//! - [`medsam`]: the SAM architecture in small, which refines boxes to regions.
//!
//! Each writes a folder in the layout of the Hugging Face hub. `TRAINING.json`, beside the weights, tells the settings
//! and what was measured on patients never seen in training. Training patients have seeds below 2^40.

mod checkpoint;
mod feed;
mod film;
mod gemma3;
mod medsam;
mod optimiser;
mod patches;

use anyhow::Result;
use clap::Parser;

/// Trains a demonstration checkpoint.
#[derive(Parser)]
enum Command {
    /// Gemma 3 in small: questions about findings.
    Gemma3(gemma3::Arguments),
    /// SAM in small: boxes to regions.
    Medsam(medsam::Arguments),
}

fn main() -> Result<()> {
    match Command::parse() {
        Command::Gemma3(arguments) => gemma3::run(&arguments),
        Command::Medsam(arguments) => medsam::run(&arguments),
    }
}
