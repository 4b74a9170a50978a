//! The text tower: CLIP's causal transformer, read where the phrase ends.

use medfocus_torch::nn::{EncoderLayer, LayerNorm, Linear};
use medfocus_torch::tch::{Kind, Tensor};
use medfocus_torch::weights::Weights;

use crate::config::{Config, TextConfig};
use crate::{Error, Result};

/// The text tower.
#[derive(Debug)]
pub struct TextTower {
    tokens: Tensor,
    positions: Tensor,
    layers: Vec<EncoderLayer>,
    norm: LayerNorm,
    projection: Linear,
}

impl TextTower {
    /// Takes its parameters under `owlvit.text_model`, and `owlvit.text_projection`.
    pub fn new(config: &Config, weights: &Weights) -> Result<Self> {
        let base = "owlvit.text_model";
        let TextConfig {
            vocab_size,
            hidden_size: width,
            max_position_embeddings: positions,
            layer_norm_eps: eps,
            ..
        } = config.text;
        let embedding = |leaf: &str, rows| {
            weights.get(&format!("{base}.embeddings.{leaf}.weight"), &[rows, width])
        };
        let layer = |layer| {
            let name = format!("{base}.encoder.layers.{layer}");
            EncoderLayer::new(weights, &name, config.text.shape())
        };
        Ok(Self {
            tokens: embedding("token_embedding", vocab_size)?,
            positions: embedding("position_embedding", positions)?,
            layers: (0..config.text.num_hidden_layers)
                .map(layer)
                .collect::<Result<_>>()?,
            norm: LayerNorm::new(weights, &format!("{base}.final_layer_norm"), width, eps)?,
            projection: Linear::new(
                weights,
                "owlvit.text_projection",
                width,
                config.projection,
                false,
            )?,
        })
    }

    /// The embedding `[1, projection]` of a phrase, of length 1.
    ///
    /// It is read at the largest id, the first of several: CLIP's token for the end is its last.
    pub fn forward(&self, ids: &[i64]) -> Result<Tensor> {
        let (length, most) = (ids.len() as i64, self.positions.size2()?.0);
        let known = 0..self.tokens.size2()?.0;
        // The first of the largest.
        let end = (0..ids.len()).rev().max_by_key(|&at| ids[at]);
        let Some(end) = end.filter(|_| length <= most && ids.iter().all(|id| known.contains(id)))
        else {
            return Err(Error::Request(format!(
                "a phrase must have 1 to {most} tokens below {}",
                known.end
            )));
        };
        let device = self.tokens.device();
        let ids = Tensor::f_from_slice(ids)?.f_to_device(device)?;
        let mut x = self
            .tokens
            .f_index_select(0, &ids)?
            .f_add(&self.positions.f_narrow(0, 0, length)?)?
            .f_unsqueeze(0)?;
        let allowed = Tensor::f_ones([length, length], (Kind::Bool, device))?.f_tril(0)?;
        for layer in &self.layers {
            x = layer.forward(&x, Some(&allowed))?;
        }
        let last = self.norm.forward(&x)?.f_select(1, end as i64)?;
        let projected = self.projection.forward(&last)?;
        let norm = projected.f_norm_scalaropt_dim(2, [-1], true)?;
        Ok(projected.f_div(&norm)?)
    }
}
