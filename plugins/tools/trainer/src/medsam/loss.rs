//! What is learnt: each region from its box.
//!
//! Dice loss and cross-entropy of every mask, the best of a box's masks counting most (Kirillov et al., ICCV 2023, for
//! boxes that can be meant in several ways; Ma et al., Nature Communications 2024, for the losses), and the squared error
//! of the predicted overlaps.

use medfocus_torch::tch::{Kind, Reduction, Tensor};
use medfocus_vision_medsam::decoder::Decoded;

/// Share of the loss that all masks of a box have, the rest being the best one's.
const ALL: f64 = 0.25;
/// Keeps the dice of an empty mask finite, cells.
const SMOOTH: f64 = 1.0;
/// Cells within this distance of a region count fully in the cross-entropy, ...
const NEAR: i64 = 3;
/// ... and all others this much: most regions are so small that a network would else learn to draw nothing.
const FAR: f64 = 0.03;

/// The mean loss of boxes whose regions cover these shares of the cells `[boxes, cells, cells]`, and the mean overlap
/// of the masks that the network itself scores best.
pub fn loss(decoded: &Decoded, targets: &Tensor) -> (Tensor, f64) {
    let near = targets
        .unsqueeze(1)
        .max_pool2d(2 * NEAR + 1, 1, NEAR, 1, false)
        .gt(0.0)
        .flatten(2, -1);
    let weights = near.to_kind(Kind::Float).clamp_min(FAR);
    let masks = decoded.masks.flatten(2, -1);
    let targets = targets.flatten(1, -1).unsqueeze(1).expand_as(&masks);
    let last = |x: &Tensor| x.sum_dim_intlist(-1, false, Kind::Float);
    let shares = masks.sigmoid();
    let common = last(&(&shares * &targets));
    let dice = 1.0 - (common * 2.0 + SMOOTH) / (last(&shares) + last(&targets) + SMOOTH);
    let cross = masks.binary_cross_entropy_with_logits(
        &targets,
        Some(&weights),
        None::<&Tensor>,
        Reduction::None,
    );
    let cross = last(&cross) / last(&weights);
    let each: Tensor = dice + cross;
    let best = each.amin(1, false).mean(Kind::Float);
    let overlaps = overlaps(&masks.detach(), &targets);
    let scores = decoded.scores.mse_loss(&overlaps, Reduction::Mean);
    let chosen = decoded.scores.argmax(1, true);
    let chosen = overlaps.gather(1, &chosen, false).mean(Kind::Float);
    let loss = best * (1.0 - ALL) + each.mean(Kind::Float) * ALL + scores;
    (loss, chosen.double_value(&[]))
}

/// Intersection over union of the cells that are more likely in than out, `[boxes, masks]`.
fn overlaps(masks: &Tensor, targets: &Tensor) -> Tensor {
    let (found, meant) = (masks.gt(0.0), targets.gt(0.5));
    let count = |flags: Tensor| flags.sum_dim_intlist(-1, false, Kind::Float);
    let either = count(found.logical_or(&meant)).clamp_min(1.0);
    count(found.logical_and(&meant)) / either
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two masks of one box: a right one and its opposite.
    fn decoded(scores: &[f32]) -> (Decoded, Tensor) {
        let targets = Tensor::from_slice(&[1f32, 1.0, 0.0, 0.0]).reshape([1, 2, 2]);
        let right = (&targets * 2.0 - 1.0) * 20.0;
        let masks = Tensor::stack(&[&right, &right.neg()], 1);
        let scores = Tensor::from_slice(scores).reshape([1, 2]);
        (Decoded { masks, scores }, targets)
    }

    #[test]
    fn the_right_mask_costs_nothing_and_must_be_scored() {
        let of = |scores: &[f32]| {
            let (decoded, targets) = decoded(scores);
            let (value, chosen) = loss(&decoded, &targets);
            (value.double_value(&[]), chosen)
        };
        let (knowing, right) = of(&[1.0, 0.0]);
        let (mistaken, wrong) = of(&[0.0, 1.0]);
        assert_eq!((right, wrong), (1.0, 0.0));
        assert!((mistaken - knowing - 1.0).abs() < 1e-5);
        // The opposite alone: a dice of 1 / 5 and a cross-entropy of 20, half of a quarter of the loss.
        assert!(
            (knowing - ALL / 2.0 * (1.0 - 1.0 / 5.0 + 20.0)).abs() < 1e-4,
            "{knowing}"
        );
    }
}
