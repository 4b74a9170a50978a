//! The random numbers of an edit: those that `torch.manual_seed` and `torch.randn` give on the CPU, except that the last bits
//! of a logarithm or a cosine may differ.
//!
//! libtorch's own generator belongs to the whole process, so that another plugin's draws, or an edit's thread, would change
//! an edit; this one is the edit's alone.

use std::f32::consts::TAU;

use medfocus_torch::tch::Tensor;
use rand_mt::Mt;

use crate::Result;

/// Numbers that torch makes normal together.
const BLOCK: usize = 16;

/// The draws of an edit, in f32 on the CPU.
#[derive(Debug)]
pub struct Noise {
    /// For the latents of the image, `[1, channels, h, w]`.
    pub posterior: Tensor,
    /// For each step the noise that is added to the latents, `[1, channels, h, w]`, the least noisy step first.
    pub forward: Vec<Tensor>,
}

impl Noise {
    /// The draws of a seed, of which the lower 32 bits count, as in torch: for the latents of this shape, then step by step.
    pub fn seeded(seed: u64, steps: usize, shape: [i64; 4]) -> Result<Self> {
        let mut generator = Mt::new(seed as u32);
        let count = shape.iter().product::<i64>().unsigned_abs() as usize;
        let mut draw = || -> Result<Tensor> {
            let numbers = normal(&mut generator, count);
            Ok(Tensor::f_from_slice(&numbers)?.f_reshape(shape)?)
        };
        Ok(Self {
            posterior: draw()?,
            forward: (0..steps).map(|_| draw()).collect::<Result<_>>()?,
        })
    }
}

/// Standard normal numbers (Box and Muller 1958): of each block the radii come from the first half, the angles from the
/// second. A last block that is not whole is drawn anew together with numbers before it.
fn normal(generator: &mut Mt, count: usize) -> Vec<f32> {
    let mut uniform = || (generator.next_u32() & 0x00ff_ffff) as f32 / 16_777_216.0;
    let mut numbers: Vec<f32> = (0..count.max(BLOCK)).map(|_| uniform()).collect();
    for block in numbers.chunks_exact_mut(BLOCK) {
        make_normal(block);
    }
    if !numbers.len().is_multiple_of(BLOCK) {
        let start = numbers.len() - BLOCK;
        numbers[start..].fill_with(uniform);
        make_normal(&mut numbers[start..]);
    }
    numbers.truncate(count);
    numbers
}

fn make_normal(block: &mut [f32]) {
    let (first, second) = block.split_at_mut(BLOCK / 2);
    for (one, other) in first.iter_mut().zip(second) {
        let radius = (-2.0 * (1.0 - *one).ln()).sqrt();
        let angle = TAU * *other;
        (*one, *other) = (radius * angle.cos(), radius * angle.sin());
    }
}
