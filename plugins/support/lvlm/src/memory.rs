//! How much memory one more image in a batch takes, and how many images are therefore taken at once.
//!
//! The estimate follows from shapes alone: the activations that are alive when most are. Weights,
//! and what the images of a batch share, are left out. The families' tests hold it against what a
//! process really takes; it is meant to be right within a factor of two.

use medfocus_plugin_api::{self as api, Memory};
use medfocus_torch::tch::{Device, Kind};

/// Tokens of text around an image, and of the answer among them, before any is known.
const TEXT: i64 = 64;
const ANSWER: i64 = 16;
/// Bytes of an f32: norms, and everything after the logits, are computed in it.
const WIDE: i64 = 4;

/// Most images at once on the CPU: beyond, activations leave the caches and an image takes longer
/// (`benches/batch.rs`).
const MOST_ON_CPU: u64 = 8;
/// Most images at once elsewhere.
const MOST: u64 = 32;
/// Bytes that a batch may take on the CPU, and where a device does not say what it has. A constant, since another batch adds in
/// another order: what a model says must not depend on the memory that happens to be free.
const BUDGET: u64 = 2 << 30;

/// Bytes that a batch may take on a device that has so many, where the weights take some: a quarter of what they leave,
/// so that other models or workers find a place there.
pub fn budget(device: Option<u64>, weights: u64) -> u64 {
    device.map_or(BUDGET, |total| total.saturating_sub(weights) / 4)
}

/// The sizes that memory depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shapes {
    /// Numbers of an image's pixels, all channels.
    pub pixels: i64,
    /// Patches of an image.
    pub patches: i64,
    /// Layers of the image tower.
    pub tower_layers: i64,
    /// Width of the tower.
    pub tower_width: i64,
    /// Width inside its MLP.
    pub tower_inner: i64,
    /// Image tokens of an image.
    pub tokens: i64,
    /// Decoder layers.
    pub layers: i64,
    /// Width of the decoder.
    pub hidden: i64,
    /// Width inside its MLP.
    pub inner: i64,
    /// Width of all query heads together.
    pub heads: i64,
    /// Rows of the output table.
    pub vocabulary: i64,
}

/// Working memory of one more image, computed in this number format.
pub fn estimate(shapes: Shapes, kind: Kind) -> Memory {
    let Shapes {
        patches,
        tower_width: width,
        tower_inner,
        hidden,
        inner,
        heads,
        ..
    } = shapes;
    let narrow = kind.elt_size_in_bytes() as i64;
    let tokens = shapes.tokens + TEXT;

    let pixels = 2 * WIDE * shapes.pixels;
    let logits = WIDE * ANSWER * shapes.vocabulary;

    // The image tower within the MLP, where the tensors of the attention are still held; the decoder
    // within its MLP or its attention.
    let tower = narrow * patches * (8 * width + 2 * tower_inner);
    let decoder = narrow * tokens * (8 * hidden + (4 * inner).max(8 * heads));
    let score = pixels + tower.max(decoder).max(2 * logits);

    // Kept for the gradient: the input of each stage of the tower, and then what autograd holds of
    // the decoder (the inputs of norms, attention and gate, layer by layer), or
    // of one stage of the tower together with its gradients.
    let inputs = narrow * patches * width * (shapes.tower_layers + 2);
    let layer = tokens * (WIDE * 5 * hidden + narrow * (6 * heads + 3 * inner));
    let recorded = shapes.layers * layer + 3 * logits;
    let stage = narrow * patches * (12 * width + 3 * tower_inner);
    let pixel_gradient = pixels + inputs + recorded.max(stage);

    // A quarter more for what the allocator cannot reuse.
    let [score, pixel_gradient] =
        [score, pixel_gradient].map(|bytes| (bytes + bytes / 4).unsigned_abs());
    Memory {
        score,
        pixel_gradient,
    }
}

/// Most images that go through the network at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    /// While scoring.
    pub score: usize,
    /// While taking the gradient with respect to pixels.
    pub pixel_gradient: usize,
}

impl Batch {
    /// As many as so many bytes hold, within the limits of this device.
    pub fn fitting(each: Memory, budget: u64, device: Device) -> Self {
        let most = match device {
            Device::Cpu => MOST_ON_CPU,
            _ => MOST,
        };
        let images = |each: u64| (budget / each.max(1)).clamp(1, most) as usize;
        Self {
            score: images(each.score),
            pixel_gradient: images(each.pixel_gradient),
        }
    }
}

impl From<Batch> for api::Batch {
    fn from(batch: Batch) -> Self {
        let images = |images| u32::try_from(images).unwrap_or(u32::MAX);
        Self {
            score: images(batch.score),
            pixel_gradient: images(batch.pixel_gradient),
        }
    }
}

impl From<usize> for Batch {
    /// The same for everything; at least one.
    fn from(images: usize) -> Self {
        Self {
            score: images.max(1),
            pixel_gradient: images.max(1),
        }
    }
}
