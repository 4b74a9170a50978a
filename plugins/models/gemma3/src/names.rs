//! The spellings of parameter names.
//!
//! Files on the hub, and those written by transformers 4.57, use the older one; raw state dicts and transformers 5 the newer
//! one, transformers 5 without `vision_model` if it made the model itself. Merged and fine-tuned checkpoints mix them, so
//! each part of the network is looked for by itself.

use medfocus_torch::weights::Weights;

use crate::{Error, Result};

/// Where the parts of the network keep their parameters.
#[derive(Debug)]
pub(crate) struct Names {
    pub decoder: &'static str,
    pub vision: &'static str,
    pub projector: &'static str,
    pub head: &'static str,
}

const DECODERS: [&str; 2] = ["language_model.model", "model.language_model"];
const VISIONS: [&str; 4] = [
    "vision_tower.vision_model",
    "model.vision_tower.vision_model",
    "model.vision_tower",
    "vision_tower",
];
const PROJECTORS: [&str; 2] = ["multi_modal_projector", "model.multi_modal_projector"];
const HEADS: [&str; 2] = ["language_model.lm_head.weight", "lm_head.weight"];

/// A parameter that each part has.
const EMBEDDING: &str = "embed_tokens.weight";
const PATCHES: &str = "embeddings.patch_embedding.weight";
const PROJECTION: &str = "mm_input_projection_weight";

impl Names {
    /// The spelling these weights use; a blueprint's is the hub's.
    pub fn detect(weights: &Weights) -> Result<Self> {
        Ok(Self {
            decoder: find(weights, &DECODERS, EMBEDDING)?,
            vision: find(weights, &VISIONS, PATCHES)?,
            projector: find(weights, &PROJECTORS, PROJECTION)?,
            head: HEADS
                .into_iter()
                .find(|name| weights.contains(name))
                .unwrap_or(HEADS[0]),
        })
    }

    /// Refuses an output table that is not the embedding where the configuration ties the two: transformers 4 and 5 would
    /// answer differently.
    pub fn check_tied(&self, weights: &Weights) -> Result<()> {
        let embedding = format!("{}.{EMBEDDING}", self.decoder);
        if !weights.contains(self.head) || weights.same(self.head, &embedding) {
            return Ok(());
        }
        Err(Error::Checkpoint(format!(
            "{} is not {embedding} in {}, though config.json ties the two: transformers 4 would use the second, transformers 5 both; set tie_word_embeddings to false if the first was trained, else delete it",
            self.head,
            weights.origin()
        )))
    }

    /// Refuses leftovers: they mean that the configuration describes a smaller model.
    pub fn check_unused(&self, weights: &Weights) -> Result<()> {
        let mut unused = weights.unused();
        // A tied model may still store its output table, a tower its pooling head (no part of this
        // model), and old exports buffers that are computed.
        let head = format!("{}.head.", self.vision);
        unused.retain(|name| {
            let computed = name.ends_with(".position_ids") || name.ends_with("rotary_emb.inv_freq");
            name != self.head && !name.starts_with(&head) && !computed
        });
        match unused.first() {
            None => Ok(()),
            Some(first) => Err(Error::Checkpoint(format!(
                "{} of the tensors in {} have no place in the network that config.json describes, the first is {first}",
                unused.len(),
                weights.origin()
            ))),
        }
    }
}

/// The first of these prefixes under which the weights hold this parameter.
fn find(weights: &Weights, prefixes: &[&'static str], parameter: &str) -> Result<&'static str> {
    let mut all = prefixes.iter();
    let holds = |prefix: &&&'static str| weights.contains(&format!("{prefix}.{parameter}"));
    match all.find(holds) {
        Some(prefix) => Ok(prefix),
        None if weights.is_blueprint() => Ok(prefixes[0]),
        None => Err(Error::Checkpoint(format!(
            "{} holds no {}.{parameter}, by whatever name: it is not a Gemma 3 checkpoint with an image tower",
            weights.origin(),
            prefixes[0]
        ))),
    }
}
