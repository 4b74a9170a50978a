//! What one training thread needs.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use medfocus_lvlm::prompt::Prompter;
use medfocus_model_gemma3::config::Config;
use medfocus_model_gemma3::{Family, Gemma3};
use medfocus_torch::tch::Tensor;
use medfocus_torch::weights::Weights;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::dense::DenseHead;
use super::questions::Phrases;
use super::sample::{Purpose, Sample, draw};
use crate::feed::Feed;

/// The network over the common parameters, and a stream of images of its own.
pub struct Worker {
    pub model: Gemma3,
    pub head: DenseHead,
    pub feed: Feed<Sample>,
    pub phrases: Phrases,
    pub rng: ChaCha8Rng,
}

impl Worker {
    /// A worker that draws patients from this seed on; `folder` holds the tokenizer and the chat template.
    pub fn new(
        first_seed: u64,
        config: &Config,
        parameters: &BTreeMap<String, Tensor>,
        head: &DenseHead,
        folder: &Path,
    ) -> Result<Worker> {
        let tensors = parameters
            .iter()
            .map(|(name, value)| (name.clone(), value.shallow_clone()))
            .collect();
        Ok(Worker {
            model: Gemma3::new(config.clone(), &Weights::from_tensors(tensors))?,
            head: head.share(),
            feed: Feed::start(first_seed, |seed, renderer| {
                draw(seed, Purpose::Training, renderer)
            }),
            phrases: Phrases::new(
                Prompter::from_folder::<Family>(folder, config)?,
                config.grid().tokens(),
            )?,
            rng: ChaCha8Rng::seed_from_u64(first_seed),
        })
    }
}
