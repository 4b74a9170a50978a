//! Where a checkpoint keeps the parts of the network.

use medfocus_lvlm::names::{Part, check_tied, check_unused};
use medfocus_torch::weights::Weights;

use crate::Result;

const DECODER: Part = Part {
    prefixes: &["model", "model.language_model"],
    holds: EMBEDDING,
};
const VISION: Part = Part {
    prefixes: &["visual", "model.visual"],
    holds: "patch_embed.proj.weight",
};
const EMBEDDING: &str = "embed_tokens.weight";
/// The output table, in every spelling.
pub(crate) const HEAD: &str = "lm_head.weight";

/// Where the parts of the network keep their parameters.
#[derive(Debug)]
pub(crate) struct Names {
    pub decoder: &'static str,
    pub vision: &'static str,
}

impl Names {
    /// The spelling these weights use; a blueprint's is the hub's.
    pub fn detect(weights: &Weights) -> Result<Self> {
        let find = |part: Part| part.find(weights, "a Qwen2.5-VL checkpoint");
        Ok(Self {
            decoder: find(DECODER)?,
            vision: find(VISION)?,
        })
    }

    /// Refuses an output table of its own where the configuration ties it to the embedding.
    pub fn check_tied(&self, weights: &Weights) -> Result<()> {
        check_tied(weights, HEAD, &format!("{}.{EMBEDDING}", self.decoder))
    }

    /// Refuses leftovers. A tied model may still store its output table.
    pub fn check_unused(&self, weights: &Weights) -> Result<()> {
        check_unused(weights, |name| name == HEAD)
    }
}
