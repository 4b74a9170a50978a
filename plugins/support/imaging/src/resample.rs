//! Resampling of 8-bit images, bit for bit as `Image.resize` of Pillow 13 does it.
//!
//! Published image processors run on Pillow, whose antialiased resampler works in fixed point and
//! rounds to 8 bits between its two passes. A floating-point resampler differs from it at a fifth
//! of the pixels, so the arithmetic here is Pillow's own: f64 weights normalised to one, converted
//! to 22 fractional bits, accumulated in `i32`, one axis after the other; an axis whose size does
//! not change is left alone.

use std::ops::Range;

use ndarray::{Array2, ArrayView2, Axis, Zip};

/// Fractional bits of a fixed-point weight: 32 less 8 for the pixel and 2 for sign and overshoot.
const PRECISION: u32 = 22;

/// An interpolation kernel. When shrinking, it is widened by the scale, which antialiases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Filter {
    /// The triangle of radius 1.
    Bilinear,
    /// The cubic convolution kernel of radius 2 (Keys 1981) with a = -1/2.
    Bicubic,
}

impl Filter {
    fn radius(self) -> f64 {
        match self {
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
        }
    }

    fn weight(self, x: f64) -> f64 {
        const A: f64 = -0.5;
        let x = x.abs();
        match self {
            Self::Bilinear if x < 1.0 => 1.0 - x,
            Self::Bicubic if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
            Self::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
            _ => 0.0,
        }
    }
}

/// `src` (rows x columns) resampled to `height` x `width`, equal to Pillow's result in every pixel.
///
/// An image without pixels gives zeros.
pub fn resize(src: ArrayView2<'_, u8>, height: usize, width: usize, filter: Filter) -> Array2<u8> {
    if src.is_empty() || height == 0 || width == 0 {
        return Array2::zeros((height, width));
    }
    if rows_first(src.dim(), (height, width)) {
        let low = resize_rows(src, height, filter);
        resize_columns(low.view(), width, filter)
    } else {
        let wide = resize_columns(src, width, filter);
        resize_rows(wide.view(), height, filter)
    }
}

/// Whether the vertical pass runs first: the order decides the roundings.
///
/// Pillow took the horizontal pass first until version 13, which starts with the rows if it loses
/// more than twice as many of them as of columns (inferred from its results).
fn rows_first((rows, columns): (usize, usize), (height, width): (usize, usize)) -> bool {
    let lost = |from: usize, to: usize| from as i128 - to as i128;
    height < rows && lost(rows, height) > 2 * lost(columns, width)
}

/// What one output sample is made of: the input samples in `range`, one fixed-point weight each.
struct Tap {
    range: Range<usize>,
    weights: Vec<i32>,
}

/// The taps of all outputs along one axis.
fn taps(input: usize, output: usize, filter: Filter) -> Vec<Tap> {
    let scale = input as f64 / output as f64;
    let stretch = scale.max(1.0);
    let support = filter.radius() * stretch;
    let inverse = 1.0 / stretch;
    (0..output)
        .map(|o| {
            let centre = (o as f64 + 0.5) * scale;
            // `as` truncates and saturates at zero, which is the bound wanted here.
            let start = (centre - support + 0.5) as usize;
            let end = ((centre + support + 0.5) as usize).min(input);
            let real: Vec<f64> = (start..end)
                .map(|i| filter.weight((i as f64 - centre + 0.5) * inverse))
                .collect();
            let total: f64 = real.iter().sum();
            let fixed = |w: &f64| {
                let scaled = w / total * f64::from(1 << PRECISION);
                (scaled + 0.5_f64.copysign(scaled)) as i32
            };
            Tap {
                range: start..end,
                weights: real.iter().map(fixed).collect(),
            }
        })
        .collect()
}

/// Where an accumulator starts: one half, so that the final shift rounds.
const HALF: i32 = 1 << (PRECISION - 1);

/// Adds `weight * pixel`. Weights sum to 2^22 and their absolute values to less than 1.3 times
/// that, so 8-bit pixels cannot overflow; the wrapping form lets the compiler vectorise the loop.
#[inline]
fn accumulate(sum: i32, pixel: u8, weight: i32) -> i32 {
    sum.wrapping_add(i32::from(pixel).wrapping_mul(weight))
}

#[inline]
fn to_pixel(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}

fn resize_columns(src: ArrayView2<'_, u8>, width: usize, filter: Filter) -> Array2<u8> {
    if width == src.ncols() {
        return src.to_owned();
    }
    let taps = taps(src.ncols(), width, filter);
    let src = src.as_standard_layout();
    let mut out = Array2::zeros((src.nrows(), width));
    for (row, mut target) in src.rows().into_iter().zip(out.rows_mut()) {
        let row = row.to_slice().unwrap_or_default();
        for (tap, pixel) in taps.iter().zip(&mut target) {
            let samples = row[tap.range.clone()].iter().zip(&tap.weights);
            *pixel = to_pixel(samples.fold(HALF, |sum, (&p, &w)| accumulate(sum, p, w)));
        }
    }
    out
}

fn resize_rows(src: ArrayView2<'_, u8>, height: usize, filter: Filter) -> Array2<u8> {
    if height == src.nrows() {
        return src.to_owned();
    }
    let taps = taps(src.nrows(), height, filter);
    let mut out = Array2::zeros((height, src.ncols()));
    let mut sums = ndarray::Array1::<i32>::zeros(src.ncols());
    for (tap, target) in taps.iter().zip(out.rows_mut()) {
        sums.fill(HALF);
        let rows = src.slice_axis(Axis(0), tap.range.clone().into());
        for (row, &weight) in rows.rows().into_iter().zip(&tap.weights) {
            Zip::from(&mut sums)
                .and(row)
                .for_each(|sum, &pixel| *sum = accumulate(*sum, pixel, weight));
        }
        Zip::from(target)
            .and(&sums)
            .for_each(|pixel, &sum| *pixel = to_pixel(sum));
    }
    out
}
