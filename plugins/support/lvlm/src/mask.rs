//! Which tokens see which.
//!
//! Text is causal. The tokens of one image see each other in both directions, in every layer and
//! at any distance. A sliding layer sees, besides its own image block, the last `window` tokens.

use medfocus_torch::nn::blocked_score;
use medfocus_torch::tch::{Device, Kind, Tensor};

use crate::Result;

/// Visibility of keys (columns) from queries (rows), `[tokens, tokens]`.
#[derive(Debug)]
pub struct Mask {
    allowed: Tensor,
}

impl Mask {
    /// The mask of a whole sequence. `block` gives each token the number of its image block, or
    /// -1 for text; `window` is the reach of a sliding layer, or `None` for a full one.
    pub fn new(block: &[i64], window: Option<i64>, device: Device) -> Result<Self> {
        let position = Tensor::f_arange(block.len() as i64, (Kind::Int64, device))?;
        let (query, key) = (position.f_unsqueeze(1)?, position.f_unsqueeze(0)?);
        let mut seen = key.f_le_tensor(&query)?;
        if let Some(window) = window {
            seen = seen.f_logical_and(&key.f_gt_tensor(&query.f_sub_scalar(window)?)?)?;
        }
        let block = Tensor::f_from_slice(block)?.f_to_device(device)?;
        let (query, key) = (block.f_unsqueeze(1)?, block.f_unsqueeze(0)?);
        let together = query.f_eq_tensor(&key)?.f_logical_and(&key.f_ge(0)?)?;
        Ok(Self {
            allowed: seen.f_logical_or(&together)?,
        })
    }

    /// True where a key may be seen.
    pub fn allowed(&self) -> &Tensor {
        &self.allowed
    }

    /// What is added to attention scores in this format: 0, or the lowest finite number.
    pub fn blocked(&self, kind: Kind) -> Result<Tensor> {
        let zeros = Tensor::f_zeros(self.allowed.size(), (kind, self.allowed.device()))?;
        Ok(zeros.f_masked_fill(&self.allowed.f_logical_not()?, blocked_score(kind))?)
    }
}

/// Number of the image block of each token, or -1 for text. A block is an unbroken run of image tokens.
pub fn image_blocks(ids: &[i64], image_token: i64) -> Vec<i64> {
    let mut count = 0;
    let mut inside = false;
    ids.iter()
        .map(|&id| {
            let image = id == image_token;
            count += i64::from(image && !inside);
            inside = image;
            if image { count - 1 } else { -1 }
        })
        .collect()
}
