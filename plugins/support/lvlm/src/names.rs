//! The spellings of parameter names.
//!
//! Checkpoints of one family keep the same parameters under several names: those on the hub, those of raw state dicts and of
//! transformers 5, and mixtures of them in merged and fine-tuned ones. So each part of a network is looked for by itself.

use medfocus_torch::weights::Weights;

use crate::{Error, Result};

/// A part of a network: where its parameters may lie, and one that it always has.
pub struct Part {
    /// Prefixes, the hub's first.
    pub prefixes: &'static [&'static str],
    /// A parameter under the prefix.
    pub holds: &'static str,
}

impl Part {
    /// The prefix under which these weights hold the part; the hub's in a blueprint. `what` says what they otherwise are not.
    pub fn find(&self, weights: &Weights, what: &str) -> Result<&'static str> {
        let holds = |prefix: &&&'static str| weights.contains(&format!("{prefix}.{}", self.holds));
        match self.prefixes.iter().find(holds) {
            Some(prefix) => Ok(prefix),
            None if weights.is_blueprint() => Ok(self.prefixes[0]),
            None => Err(Error::Checkpoint(format!(
                "{} holds no {}.{}, by whatever name: it is not {what} with an image tower",
                weights.origin(),
                self.prefixes[0],
                self.holds
            ))),
        }
    }
}

/// Refuses an output table that is not the embedding where the configuration ties the two: transformers 4 and 5 would
/// answer differently.
pub fn check_tied(weights: &Weights, head: &str, embedding: &str) -> Result<()> {
    if !weights.contains(head) || weights.same(head, embedding) {
        return Ok(());
    }
    Err(Error::Checkpoint(format!(
        "{head} is not {embedding} in {}, though config.json ties the two: transformers 4 would use the second, transformers 5 both; set tie_word_embeddings to false if the first was trained, else delete it",
        weights.origin()
    )))
}

/// Refuses leftovers, except those that are `idle`: they mean that the configuration describes a smaller model. Buffers that are
/// computed, which old exports hold, are no leftovers.
pub fn check_unused(weights: &Weights, idle: impl Fn(&str) -> bool) -> Result<()> {
    weights.check_unused(|name| {
        let computed = name.ends_with(".position_ids") || name.ends_with("rotary_emb.inv_freq");
        computed || idle(name)
    })
}
