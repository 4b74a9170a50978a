//! A linear head that reads the findings off the patch features, while the tower is trained; it is not part of the
//! checkpoint.

use std::collections::BTreeMap;

use anyhow::Result;
use medfocus_lvlm::network::Network;
use medfocus_phantom::Finding;
use medfocus_torch::tch::{Device, Kind, Reduction, Tensor, no_grad};

use super::architecture::TOWER_WIDTH;
use super::batch::Batch;
use super::student::see;

/// Reads the cover of each patch by each finding off the patch features.
pub struct DenseHead {
    weight: Tensor,
    bias: Tensor,
    /// How much more a covered patch counts than a free one, for each finding.
    emphasis: Tensor,
}

impl DenseHead {
    /// A fresh head; `batch` tells how rare each finding is.
    pub fn new(batch: &Batch) -> DenseHead {
        let shape = [Finding::ALL.len() as i64, TOWER_WIDTH as i64];
        let rate = batch
            .cover
            .mean_dim([0i64, 1].as_slice(), false, Kind::Float);
        let float = (Kind::Float, Device::Cpu);
        DenseHead {
            weight: (Tensor::randn(shape, float) * 0.02).set_requires_grad(true),
            bias: Tensor::full(shape[0], -3.0, float).set_requires_grad(true),
            emphasis: (rate.clamp_min(1e-6).reciprocal() * 0.1).clamp(2.0, 30.0),
        }
    }

    /// The same head, for another thread.
    pub fn share(&self) -> DenseHead {
        DenseHead {
            weight: self.weight.shallow_clone(),
            bias: self.bias.shallow_clone(),
            emphasis: self.emphasis.shallow_clone(),
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

    /// Logits `[images, patches, findings]` of patch features.
    pub fn forward(&self, patches: &Tensor) -> Tensor {
        patches.linear(&self.weight, Some(&self.bias))
    }

    /// Cross-entropy of each patch, and of each image by its most conspicuous patches.
    pub fn loss(&self, patches: &Tensor, batch: &Batch) -> Tensor {
        let logits = self.forward(patches);
        let dense = logits.binary_cross_entropy_with_logits(
            &batch.cover,
            None::<&Tensor>,
            Some(&self.emphasis),
            Reduction::Mean,
        );
        let pooled =
            (logits.softmax(1, Kind::Float) * &logits).sum_dim_intlist(1, false, Kind::Float);
        let presence = batch.presence();
        let known = presence.ge(0.0).to_kind(Kind::Float);
        let whole = pooled.binary_cross_entropy_with_logits(
            &presence.clamp_min(0.0),
            Some(&known),
            None::<&Tensor>,
            Reduction::Mean,
        );
        dense * 10.0 + whole
    }

    /// For each finding, the chance that an image with it has a more conspicuous patch than one without
    /// (the area under the ROC curve).
    pub fn areas<N: Network>(&self, network: &N, test: &Batch) -> Result<Vec<f64>> {
        no_grad(|| {
            let (patches, _) = see(network, &test.pixels)?;
            let best = self.forward(&patches).amax(1, false);
            let presence = test.presence();
            let column = |table: &Tensor, finding: usize| {
                Vec::<f32>::try_from(table.select(1, finding as i64))
            };
            (0..Finding::ALL.len())
                .map(|finding| Ok(area(&column(&best, finding)?, &column(&presence, finding)?)))
                .collect()
        })
    }
}

fn area(scores: &[f32], presence: &[f32]) -> f64 {
    let with = |label: f32| {
        scores
            .iter()
            .zip(presence)
            .filter(move |(_, p)| **p == label)
            .map(|(s, _)| *s)
    };
    let wins: f64 = with(1.0)
        .map(|yes| {
            with(0.0)
                .map(|no| f64::from(u8::from(yes > no)))
                .sum::<f64>()
        })
        .sum();
    wins / (with(1.0).count() * with(0.0).count()).max(1) as f64
}
