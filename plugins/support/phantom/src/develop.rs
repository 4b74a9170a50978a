//! From attenuation to grey: point spread, tone curve, grain, collimation.

use ndarray::ArrayViewMut2;

use crate::patient::Film;
use crate::raster::{Grid, Tone, smooth, tiles};

/// Spreads every point over its neighbours: binomial passes, more of them on finer grids.
pub(crate) fn blur(film: &mut [f32], scratch: &mut Vec<f32>, grid: &Grid, weight: f32) {
    let finer = (1.0 / 112.0) / grid.pixel;
    let variance = 2.0 * weight * finer * finer;
    let passes = (variance / 0.5).ceil().max(1.0);
    let side = 0.5 * variance / passes;
    let centre = 1.0 - 2.0 * side;
    let (width, height) = (grid.width, grid.height);
    scratch.resize(film.len(), 0.0);
    for _ in 0..passes as usize {
        for (from, to) in film
            .chunks_exact(width)
            .zip(scratch.chunks_exact_mut(width))
        {
            to.copy_from_slice(from);
            for (to, w) in to[1..].iter_mut().zip(from.windows(3)) {
                *to = centre * w[1] + side * (w[0] + w[2]);
            }
        }
        for row in 0..height {
            let line = |r: usize| &scratch[r * width..(r + 1) * width];
            let (above, here, below) = (
                line(row.saturating_sub(1)),
                line(row),
                line((row + 1).min(height - 1)),
            );
            let out = &mut film[row * width..(row + 1) * width];
            for (((out, a), h), b) in out.iter_mut().zip(above).zip(here).zip(below) {
                *out = centre * h + side * (a + b);
            }
        }
    }
}

/// Tone curve, grain and collimation, rounded to bytes.
pub(crate) fn develop(
    film: &Film,
    grid: &Grid,
    attenuation: &[f32],
    image: &mut ArrayViewMut2<u8>,
) {
    let tone = Tone::new(film);
    let seed = film.noise_seed;
    let (shift_x, shift_y) = (
        ((seed >> 16) & 0xff) as usize,
        ((seed >> 24) & 0xff) as usize,
    );
    let [left, right, top, bottom] = film.margins;
    let open = shutter(&grid.xs, grid.pixel, left, right);
    let opening = shutter(&grid.ys, grid.pixel, top, bottom);
    let (mut noise, mut line) = (vec![0.0; grid.width], vec![0u8; grid.width]);
    for (row, mut pixels) in image.outer_iter_mut().enumerate() {
        tiles().fill_grain(shift_x, row + shift_y, &mut noise);
        let attenuation = &attenuation[row * grid.width..(row + 1) * grid.width];
        let light = opening[row];
        for (((byte, a), noise), open) in line.iter_mut().zip(attenuation).zip(&noise).zip(&open) {
            let grey = (tone.grey(*a) + film.noise * noise) * open * light;
            *byte = (grey + 0.5).clamp(0.0, 255.0) as i32 as u8;
        }
        pixels
            .iter_mut()
            .zip(&line)
            .for_each(|(pixel, byte)| *pixel = *byte);
    }
}

/// Share of the exposure that passes the collimator at each centre, given the margins at both ends.
fn shutter(centres: &[f32], pixel: f32, first: f32, last: f32) -> Vec<f32> {
    const PENUMBRA: f32 = 0.015;
    let edge = 0.5 * pixel * centres.len() as f32;
    let near = |margin: f32, distance: f32| {
        if margin > 0.0 {
            smooth((distance - margin) / PENUMBRA)
        } else {
            1.0
        }
    };
    centres
        .iter()
        .map(|&p| near(first, p + edge) * near(last, edge - p))
        .collect()
}
