//! What one training thread needs.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use medfocus_lvlm::prompt::Prompter;
use medfocus_torch::tch::Tensor;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::dense::DenseHead;
use super::questions::Phrases;
use super::sample::{Purpose, Sample, draw};
use super::student::{Config, Net, Student, build};
use crate::feed::Feed;

/// The network over the common parameters, and a stream of images of its own.
pub struct Worker<S: Student> {
    pub model: Net<S>,
    pub head: DenseHead,
    pub feed: Feed<Sample>,
    pub phrases: Phrases,
    pub rng: ChaCha8Rng,
}

impl<S: Student> Worker<S> {
    /// A worker that draws patients from this seed on; `folder` holds the tokenizer and the chat template.
    pub fn new(
        first_seed: u64,
        config: &Config<S>,
        parameters: &BTreeMap<String, Tensor>,
        head: &DenseHead,
        folder: &Path,
        large: f64,
    ) -> Result<Self> {
        Ok(Worker {
            model: build::<S>(config, parameters)?,
            head: head.share(),
            feed: Feed::start(first_seed, move |seed, renderer| {
                draw(seed, Purpose::Training { large }, renderer)
            }),
            phrases: Phrases::new::<S>(Prompter::from_folder::<S::Family>(folder, config)?)?,
            rng: ChaCha8Rng::seed_from_u64(first_seed),
        })
    }
}
