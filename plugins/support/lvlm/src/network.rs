//! What the engine must know of a network and of the family it belongs to.

use std::fmt::Debug;
use std::path::Path;

use medfocus_plugin_api::{AttentionKind, Coordinates};
use medfocus_torch::tch::{Device, Kind, Tensor};
use medfocus_torch::weights::Weights;
use ndarray::ArrayView2;

use crate::Result;
use crate::attention::Attend;
use crate::cache::Cache;
use crate::decoder::{Decoder, Layer};
use crate::memory::Shapes;

/// How many image tokens lie in a column and in a row of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    /// Rows of tokens.
    pub rows: usize,
    /// Tokens of a row.
    pub columns: usize,
}

impl Grid {
    /// Image tokens of an image.
    pub const fn tokens(self) -> usize {
        self.rows * self.columns
    }
}

/// A decoder with an image tower: the steps from pixels and token ids to logits, each a call of its own, so that the
/// engine can look at what lies between two of them, or cut the gradient there.
pub trait Network: Debug + Send {
    /// A layer of the decoder.
    type Layer: Layer;

    /// The decoder.
    fn decoder(&self) -> &Decoder<Self::Layer>;

    /// Id of the token that stands for one image feature.
    fn image_token(&self) -> i64;

    /// The image tokens of pixels `[.., height, width]`.
    fn grid(&self, height: i64, width: i64) -> Grid;

    /// Stages of the image tower, whatever brings its features into the decoder's space included.
    fn stages(&self) -> usize;

    /// Runs one stage on the output of the one before. The first takes pixels `[images, 3, height, width]`, the last gives
    /// image features `[images, tokens, hidden]`, row by row.
    fn stage(&self, stage: usize, x: &Tensor) -> Result<Tensor>;

    /// A pass over a whole sequence whose images have this grid.
    fn prefill(&self, ids: &[i64], grid: Grid) -> Result<Pass<Self>>;

    /// A pass over one new text token, after a prefill with a cache and `generated` other new tokens.
    fn step(&self, prefill: &Pass<Self>, generated: usize) -> Result<Pass<Self>>;

    /// Token ids `[..]` to embeddings `[.., hidden]` as the first layer takes them. Image features take the place of the
    /// image tokens' afterwards, as they are.
    fn embed(&self, ids: &Tensor) -> Result<Tensor> {
        self.decoder().embed(ids)
    }

    /// Where the weights are.
    fn device(&self) -> Device {
        self.decoder().embedding().device()
    }

    /// The number format of the weights.
    fn kind(&self) -> Result<Kind> {
        Ok(self.decoder().embedding().f_kind()?)
    }

    /// Decoder layers.
    fn depth(&self) -> usize {
        self.decoder().layers.len()
    }

    /// Layer `index` on hidden states `[batch, tokens, hidden]`.
    fn layer(
        &self,
        index: usize,
        hidden: &Tensor,
        pass: &Pass<Self>,
        attend: Attend<'_>,
        cache: Option<&mut Cache>,
    ) -> Result<Tensor> {
        self.decoder().layers[index].forward(hidden, pass, attend, cache)
    }

    /// The norm after the last layer.
    fn finish(&self, hidden: &Tensor) -> Result<Tensor> {
        self.decoder().norm.forward(hidden)
    }

    /// Final hidden states `[.., hidden]` to logits `[.., vocabulary]`.
    fn logits(&self, finished: &Tensor) -> Result<Tensor> {
        Ok(finished.f_linear(&self.decoder().head, None::<&Tensor>)?)
    }
}

/// What the layers of a network need to know about a pass.
pub type Pass<N> = <<N as Network>::Layer as Layer>::Pass;

/// Grey images to the pixels that a tower takes.
pub trait Pixels: Debug + Send {
    /// Height and width of the pixels of an image of this height and width.
    fn size(&self, height: usize, width: usize) -> Result<(i64, i64)>;

    /// Normalised pixels `[3, height, width]`, f32.
    fn pixels(&self, image: ArrayView2<'_, u8>) -> Result<Tensor>;
}

/// How a chat template and a model each write an image.
#[derive(Debug, Clone)]
pub struct ImageBlock {
    /// What the template writes.
    pub placeholder: String,
    /// What the model reads before the image tokens, in place of the placeholder.
    pub before: String,
    /// The image token, written once for each feature.
    pub token: i64,
    /// What the model reads after them.
    pub after: String,
    /// The token that must begin every sequence, if one must.
    pub begin: Option<i64>,
}

/// What the host is told of a model, beside what follows from weights and device.
#[derive(Debug, Clone)]
pub struct Facts {
    /// How the model writes boxes.
    pub coordinates: Coordinates,
    /// The attention of each layer, from the bottom.
    pub layers: Vec<AttentionKind>,
    /// Query heads of a layer.
    pub heads: u32,
    /// Width of the residual stream.
    pub hidden: u32,
}

/// An architecture: how a checkpoint folder of it becomes a network.
pub trait Family: Send + Sync + 'static {
    /// The component's name.
    const NAME: &'static str;
    /// What it runs, in a sentence.
    const SUMMARY: &'static str;
    /// What a user calls a checkpoint of it, as "a Gemma 3 or MedGemma checkpoint".
    const CHECKPOINT: &'static str;

    /// The network.
    type Network: Network;
    /// What `config.json` resolves to.
    type Config: Debug + Clone + Send;

    /// Reads `config.json`.
    fn config(folder: &Path) -> Result<Self::Config>;

    /// Builds the network, or with a blueprint lists its parameters.
    fn network(config: &Self::Config, weights: &Weights) -> Result<Self::Network>;

    /// What begins the names of a decoder layer's parameters in these weights, as `model.layers.3.`.
    fn layer_prefix(weights: &Weights, layer: usize) -> Result<String>;

    /// What begins the names of the parameters of each stage that an image passes before the decoder, from the top: the projector, each
    /// layer of the tower, and what takes the patches in.
    fn image_prefixes(config: &Self::Config, weights: &Weights) -> Result<Vec<Vec<String>>>;

    /// What turns images into pixels.
    fn pixels(folder: &Path, config: &Self::Config) -> Result<Box<dyn Pixels>>;

    /// How images are written; `text` gives the text of a token, or says that the tokenizer has no such token.
    fn image_block(
        config: &Self::Config,
        text: &dyn Fn(i64, &str) -> Result<String>,
    ) -> Result<ImageBlock>;

    /// Tokens that end a generation, unless `generation_config.json` says otherwise.
    fn end_tokens(config: &Self::Config) -> Vec<i64>;

    /// What the host is told.
    fn facts(config: &Self::Config) -> Facts;

    /// What memory depends on, for pixels `[.., height, width]`.
    fn shapes(config: &Self::Config, height: i64, width: i64) -> Shapes;
}
