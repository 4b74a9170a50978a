//! A decoder: an embedding, layers, a norm, an output table.

use std::fmt::Debug;

use medfocus_torch::nn::RmsNorm;
use medfocus_torch::tch::Tensor;
use medfocus_torch::weights::Weights;

use crate::Result;
use crate::attention::Attend;
use crate::cache::Cache;

/// A layer of a decoder.
pub trait Layer: Debug + Send {
    /// What a layer needs to know about the tokens of one forward pass: positions, and which sees which.
    type Pass: Debug;

    /// Hidden states `[batch, tokens, hidden]` to the same.
    fn forward(
        &self,
        hidden: &Tensor,
        pass: &Self::Pass,
        attend: Attend<'_>,
        cache: Option<&mut Cache>,
    ) -> Result<Tensor>;
}

/// A decoder of such layers.
#[derive(Debug)]
pub struct Decoder<L> {
    embedding: Tensor,
    pub(crate) layers: Vec<L>,
    pub(crate) norm: RmsNorm,
    /// The output table; the embedding itself where they are tied.
    pub(crate) head: Tensor,
}

impl<L: Layer> Decoder<L> {
    /// So many layers, each made for its number and the name of its parameters, between the table `[vocabulary, hidden]` of
    /// `{prefix}.embed_tokens` and a norm. Without a `head` of its own the output reuses that table.
    pub fn new(
        weights: &Weights,
        prefix: &str,
        table: [i64; 2],
        head: Option<&str>,
        depth: usize,
        layer: impl Fn(usize, &str) -> Result<L>,
        norm: RmsNorm,
    ) -> Result<Self> {
        let embedding = weights.get(&format!("{prefix}.embed_tokens.weight"), &table)?;
        Ok(Self {
            layers: (0..depth)
                .map(|index| layer(index, &format!("{prefix}.layers.{index}")))
                .collect::<Result<_>>()?,
            norm,
            head: match head {
                Some(head) => weights.get(head, &table)?,
                None => embedding.shallow_clone(),
            },
            embedding,
        })
    }

    /// The table of embeddings, `[vocabulary, hidden]`.
    pub fn embedding(&self) -> &Tensor {
        &self.embedding
    }

    /// Token ids `[..]` to the rows of that table, `[.., hidden]`.
    pub fn embed(&self, ids: &Tensor) -> Result<Tensor> {
        Ok(Tensor::f_embedding(&self.embedding, ids, -1, false, false)?)
    }
}
