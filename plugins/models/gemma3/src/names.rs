//! Where a checkpoint keeps the parts of the network.

use medfocus_lvlm::names::{Part, check_tied, check_unused};
use medfocus_torch::weights::Weights;

use crate::Result;

const DECODER: Part = Part {
    prefixes: &["language_model.model", "model.language_model"],
    holds: EMBEDDING,
};
/// Transformers 5 leaves `vision_model` out if it made the model itself.
const VISION: Part = Part {
    prefixes: &[
        "vision_tower.vision_model",
        "model.vision_tower.vision_model",
        "model.vision_tower",
        "vision_tower",
    ],
    holds: "embeddings.patch_embedding.weight",
};
const PROJECTOR: Part = Part {
    prefixes: &["multi_modal_projector", "model.multi_modal_projector"],
    holds: "mm_input_projection_weight",
};
const HEADS: [&str; 2] = ["language_model.lm_head.weight", "lm_head.weight"];
const EMBEDDING: &str = "embed_tokens.weight";

/// Where the parts of the network keep their parameters.
#[derive(Debug)]
pub(crate) struct Names {
    pub decoder: &'static str,
    pub vision: &'static str,
    pub projector: &'static str,
    pub head: &'static str,
}

impl Names {
    /// The spelling these weights use; a blueprint's is the hub's.
    pub fn detect(weights: &Weights) -> Result<Self> {
        let find = |part: Part| part.find(weights, "a Gemma 3 checkpoint");
        Ok(Self {
            decoder: find(DECODER)?,
            vision: find(VISION)?,
            projector: find(PROJECTOR)?,
            head: HEADS
                .into_iter()
                .find(|name| weights.contains(name))
                .unwrap_or(HEADS[0]),
        })
    }

    /// Refuses an output table of its own where the configuration ties it to the embedding.
    pub fn check_tied(&self, weights: &Weights) -> Result<()> {
        check_tied(weights, self.head, &format!("{}.{EMBEDDING}", self.decoder))
    }

    /// Refuses leftovers. A tied model may still store its output table, a tower its pooling head (no part of this model).
    pub fn check_unused(&self, weights: &Weights) -> Result<()> {
        let pooling = format!("{}.head.", self.vision);
        check_unused(weights, |name| {
            name == self.head || name.starts_with(&pooling)
        })
    }
}
