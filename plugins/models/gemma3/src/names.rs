//! The two spellings of parameter names.
//!
//! Files on the hub, and those written by transformers 4.57, use the older one; raw state dicts and
//! transformers 5 the newer one.

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

const HUB: Names = Names {
    decoder: "language_model.model",
    vision: "vision_tower",
    projector: "multi_modal_projector",
    head: "language_model.lm_head.weight",
};

const NEW: Names = Names {
    decoder: "model.language_model",
    vision: "model.vision_tower",
    projector: "model.multi_modal_projector",
    head: "lm_head.weight",
};

impl Names {
    /// The spelling these weights use.
    pub fn detect(weights: &Weights) -> Result<Self> {
        let holds =
            |names: &Names| weights.contains(&format!("{}.embed_tokens.weight", names.decoder));
        if weights.is_blueprint() || holds(&HUB) {
            Ok(HUB)
        } else if holds(&NEW) {
            Ok(NEW)
        } else {
            Err(Error::Checkpoint(format!(
                "{} holds neither {}.embed_tokens.weight nor {}.embed_tokens.weight: it is not a Gemma 3 checkpoint with an image tower",
                weights.origin(),
                HUB.decoder,
                NEW.decoder
            )))
        }
    }

    /// Refuses leftovers: they mean that the configuration describes a smaller model.
    pub fn check_unused(&self, weights: &Weights) -> Result<()> {
        let mut unused = weights.unused();
        // A tied model may still store its output table, a tower its pooling head (no part of this
        // model), and old exports a buffer of positions.
        let head = format!("{}.vision_model.head.", self.vision);
        unused.retain(|name| {
            name != self.head && !name.starts_with(&head) && !name.ends_with(".position_ids")
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
