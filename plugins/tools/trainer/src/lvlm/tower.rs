//! First phase: the image tower learns to see every finding, patch by patch.
//!
//! The phantom's masks are exact, so each patch has a label for each finding: two hundred labels an
//! image for each finding instead of one.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::Result;
use medfocus_phantom::Finding;
use medfocus_torch::tch::Tensor;

use super::batch::Batch;
use super::student::{Student, see};
use super::worker::Worker;
use crate::optimiser::{Adam, schedule};

/// Trains the tower together with the head: `steps` steps of `images` images at this learning rate.
pub fn train<S: Student>(
    parameters: &BTreeMap<String, Tensor>,
    workers: &mut [Worker<S>],
    test: &Batch,
    (steps, images, rate): (usize, usize, f64),
) -> Result<()> {
    let sees = |name: &str| S::sees(name) || name.starts_with("dense_head");
    let mut optimiser = Adam::new(parameters, |name| sees(name).then_some(1.0));
    let share = images / workers.len();
    let start = Instant::now();
    let mut mean = 0.0;
    for step in 1..=steps {
        let rate = schedule(rate, step as f64 / steps as f64);
        let losses = optimiser.step(rate, workers, |worker| {
            let batch = Batch::new(worker.feed.take(share));
            let (patches, _) = see(&worker.model, &batch.pixels)?;
            let loss = worker.head.loss(&patches, &batch);
            let value = loss.double_value(&[]);
            Ok((loss, value))
        })?;
        mean += losses.iter().sum::<f64>() / (50 * losses.len()) as f64;
        if step % 50 == 0 {
            println!(
                "tower step {step} loss {mean:.4} after {:.0?}",
                start.elapsed()
            );
            mean = 0.0;
        }
        if step % 150 == 0 || step == steps {
            for (finding, area) in Finding::ALL
                .into_iter()
                .zip(workers[0].head.areas(&workers[0].model, test)?)
            {
                print!("  {} {area:.3}", finding.name());
            }
            println!();
        }
    }
    Ok(())
}
