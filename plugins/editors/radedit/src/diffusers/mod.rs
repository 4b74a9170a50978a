//! What the networks of a diffusers checkpoint share: the reading of their configuration, and their convolutional blocks.

pub mod keys;
pub mod layers;
pub mod resample;
pub mod resnet;

use std::collections::BTreeMap;

/// How many numbers tensors of these shapes hold.
pub fn count(shapes: &BTreeMap<String, Vec<i64>>) -> u64 {
    let numbers = |shape: &Vec<i64>| {
        shape
            .iter()
            .map(|&side| side.unsigned_abs())
            .product::<u64>()
    };
    shapes.values().map(numbers).sum()
}
