//! Images with their labels, as tensors.

use medfocus_phantom::{Finding, Renderer};
use medfocus_torch::tch::{Kind, Tensor};

use super::architecture::{IMAGE_SIDE, PATCHES_PER_SIDE};
use super::sample::{Purpose, Sample, Truth, draw};

/// Images with their labels.
pub struct Batch {
    /// Normalised pixels `[images, 3, side, side]`.
    pub pixels: Tensor,
    /// How much of each patch each finding covers, `[images, patches, findings]`.
    pub cover: Tensor,
    /// Per image, per finding.
    pub truths: Vec<Vec<Truth>>,
}

impl Batch {
    /// Stacks samples.
    pub fn new(samples: Vec<Sample>) -> Batch {
        let (count, side) = (samples.len() as i64, IMAGE_SIDE as i64);
        let pixels: Vec<u8> = samples
            .iter()
            .flat_map(|sample| sample.pixels.iter().copied())
            .collect();
        let cover: Vec<f32> = samples
            .iter()
            .flat_map(|sample| sample.cover.iter().copied())
            .collect();
        let patches = (PATCHES_PER_SIDE * PATCHES_PER_SIDE) as i64;
        Batch {
            pixels: (Tensor::from_slice(&pixels).to_kind(Kind::Float) / 127.5 - 1.0)
                .reshape([count, 1, side, side])
                .expand([count, 3, side, side], false)
                .contiguous(),
            cover: Tensor::from_slice(&cover)
                .reshape([count, Finding::ALL.len() as i64, patches])
                .transpose(1, 2)
                .contiguous(),
            truths: samples.into_iter().map(|sample| sample.truths).collect(),
        }
    }

    /// Draws the images of consecutive seeds.
    pub fn draw(first_seed: u64, count: usize, purpose: Purpose) -> Batch {
        let mut renderer = Renderer::default();
        let seeds = first_seed..first_seed + count as u64;
        Batch::new(
            seeds
                .map(|seed| draw(seed, purpose, &mut renderer))
                .collect(),
        )
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.truths.len()
    }

    /// 1 where a finding is present, 0 where absent, -1 where unclear, `[images, findings]`.
    pub fn presence(&self) -> Tensor {
        let flat: Vec<f32> = self
            .truths
            .iter()
            .flatten()
            .map(|truth| match truth {
                Truth::Present(..) => 1.0,
                Truth::Absent | Truth::Hidden => 0.0,
                Truth::Unclear => -1.0,
            })
            .collect();
        Tensor::from_slice(&flat).reshape([self.len() as i64, -1])
    }
}
