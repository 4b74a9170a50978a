//! What the image encoder learns beside the task: to tell every region in every cell.
//!
//! The phantom's masks are exact, so each cell has a label for each region, thousands an image instead of a few boxes. A
//! linear head reads them off the embedding; it is not part of the checkpoint.

use std::collections::BTreeMap;

use medfocus_phantom::{Concept, Finding};
use medfocus_torch::tch::{Device, Kind, Reduction, Tensor};

use super::architecture::{DECODER_WIDTH, MASK_SIDE, PATCHES_PER_SIDE};

/// Concepts, then findings.
pub const REGIONS: usize = Concept::ALL.len() + Finding::ALL.len();
/// Cells along one side of a patch.
const CELLS: i64 = (MASK_SIDE / PATCHES_PER_SIDE) as i64;
/// Weight of the cross-entropy, which is small where most cells hold nothing.
const CROSS: f64 = 10.0;

/// Reads regions off an embedding.
pub struct DenseHead {
    weight: Tensor,
    bias: Tensor,
}

impl DenseHead {
    /// A fresh head.
    pub fn new() -> DenseHead {
        let float = (Kind::Float, Device::Cpu);
        let outputs = REGIONS as i64 * CELLS * CELLS;
        let weight = Tensor::randn([outputs, DECODER_WIDTH as i64, 1, 1], float) * 0.02;
        DenseHead {
            weight: weight.set_requires_grad(true),
            bias: Tensor::full(outputs, -3.0, float).set_requires_grad(true),
        }
    }

    /// The same head, for another thread.
    pub fn share(&self) -> DenseHead {
        DenseHead {
            weight: self.weight.shallow_clone(),
            bias: self.bias.shallow_clone(),
        }
    }

    /// What is trained, by name.
    pub fn parameters(&self) -> BTreeMap<String, Tensor> {
        let name = |leaf: &str| format!("dense_head.{leaf}");
        [
            (name("weight"), self.weight.shallow_clone()),
            (name("bias"), self.bias.shallow_clone()),
        ]
        .into()
    }

    /// Cross-entropy of the cells of embeddings `[images, width, grid, grid]`, and dice loss of the regions that are
    /// there. `cover` is the share of each cell that each region covers, `[images, regions, cells, cells]`.
    pub fn loss(&self, embeddings: &Tensor, cover: &Tensor) -> Tensor {
        let logits = embeddings
            .conv2d(&self.weight, Some(&self.bias), 1, 0, 1, 1)
            .pixel_shuffle(CELLS);
        let cross = logits.binary_cross_entropy_with_logits(
            cover,
            None::<&Tensor>,
            None::<&Tensor>,
            Reduction::Mean,
        );
        let area = |x: &Tensor| x.sum_dim_intlist([2i64, 3].as_slice(), false, Kind::Float);
        let shares = logits.sigmoid();
        let dice: Tensor = 1.0 - area(&(&shares * cover)) * 2.0 / (area(&shares) + area(cover));
        let there = area(cover).gt(0.0).to_kind(Kind::Float);
        let dice = (dice * &there).sum(Kind::Float) / there.sum(Kind::Float);
        cross * CROSS + dice
    }
}
