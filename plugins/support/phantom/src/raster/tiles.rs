//! Texture tiles, computed once per process from a fixed seed.

use std::sync::OnceLock;

use super::{lerp, smooth};
use crate::dice::{Dice, Purpose};

/// Side of a tile in texels; a power of two, so that wrapping is a bit mask.
const SIDE: usize = 256;

/// Whole tiles added before truncation, so that coordinates are positive.
const FAR: f32 = 16.0 * SIDE as f32;

/// The two tiles, each [`SIDE`] x [`SIDE`] and periodic.
pub(crate) struct Tiles {
    /// Uncorrelated film grain: zero mean, unit variance.
    grain: Vec<f32>,
    /// Smooth clouds: zero mean, unit variance.
    cloud: Vec<f32>,
}

impl Tiles {
    /// Fills a row with grain from texel `(row, column)` on, wrapping around.
    pub fn fill_grain(&self, column: usize, row: usize, out: &mut [f32]) {
        let line = &self.grain[(row % SIDE) * SIDE..][..SIDE];
        let (tail, head) = line.split_at(column % SIDE);
        for chunk in out.chunks_mut(SIDE) {
            let first = chunk.len().min(head.len());
            chunk[..first].copy_from_slice(&head[..first]);
            let rest = chunk.len() - first;
            chunk[first..].copy_from_slice(&tail[..rest]);
        }
    }
}

/// The shared tiles.
pub(crate) fn tiles() -> &'static Tiles {
    static TILES: OnceLock<Tiles> = OnceLock::new();
    TILES.get_or_init(|| {
        let mut dice = Dice::new(0x4d65_6446, Purpose::Tiles);
        let grain = (0..SIDE * SIDE)
            .map(|_| dice.bell() + dice.bell())
            .collect();
        let mut cloud = vec![0.0; SIDE * SIDE];
        for (cells, amplitude) in [(6, 1.0), (12, 0.8), (24, 0.6), (48, 0.35)] {
            add_value_noise(&mut cloud, &mut dice, cells, amplitude);
        }
        Tiles {
            grain: standardise(grain),
            cloud: standardise(cloud),
        }
    })
}

/// Adds periodic value noise of `cells` x `cells` knots.
fn add_value_noise(tile: &mut [f32], dice: &mut Dice, cells: usize, amplitude: f32) {
    let knots: Vec<f32> = (0..cells * cells).map(|_| dice.bell()).collect();
    let at = |row: usize, column: usize| knots[(row % cells) * cells + column % cells];
    for (index, texel) in tile.iter_mut().enumerate() {
        let (fy, fx) = ((index / SIDE) as f32, (index % SIDE) as f32);
        let scale = cells as f32 / SIDE as f32;
        let (y, x) = (fy * scale, fx * scale);
        let (row, column) = (y as usize, x as usize);
        let (ty, tx) = (smooth(y - row as f32), smooth(x - column as f32));
        let top = lerp(at(row, column), at(row, column + 1), tx);
        let bottom = lerp(at(row + 1, column), at(row + 1, column + 1), tx);
        *texel += amplitude * lerp(top, bottom, ty);
    }
}

fn standardise(mut tile: Vec<f32>) -> Vec<f32> {
    let n = tile.len() as f32;
    let mean = tile.iter().sum::<f32>() / n;
    let deviation = (tile.iter().map(|v| (v - mean) * (v - mean)).sum::<f32>() / n).sqrt();
    tile.iter_mut().for_each(|v| *v = (*v - mean) / deviation);
    tile
}

/// The cloud tile laid over the film at an offset; one tile spans `2 / scale` film units.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cloud {
    texels: f32,
    offset: [f32; 2],
}

impl Cloud {
    /// `seed` chooses the offset.
    pub fn new(seed: u64, scale: f32) -> Cloud {
        let offset = [(seed & 0xff) as f32, ((seed >> 8) & 0xff) as f32];
        Cloud {
            texels: scale * SIDE as f32 * 0.5,
            offset,
        }
    }

    /// Value at a film point, bilinear.
    #[inline]
    pub fn at(&self, x: f32, y: f32) -> f32 {
        let tile = &tiles().cloud;
        let (u, v) = (
            x * self.texels + self.offset[0] + FAR,
            y * self.texels + self.offset[1] + FAR,
        );
        let (iu, iv) = (u as usize, v as usize);
        let (tu, tv) = (u - iu as f32, v - iv as f32);
        let wrap = SIDE - 1;
        let (c0, c1) = (iu & wrap, (iu + 1) & wrap);
        let (r0, r1) = ((iv & wrap) * SIDE, ((iv + 1) & wrap) * SIDE);
        lerp(
            lerp(tile[r0 + c0], tile[r0 + c1], tu),
            lerp(tile[r1 + c0], tile[r1 + c1], tu),
            tv,
        )
    }

    /// Prepares lookups along whole rows.
    pub fn columns(self, xs: &[f32]) -> CloudColumns {
        let texels = xs
            .iter()
            .map(|x| (x * self.texels + self.offset[0] + FAR) as usize as u8);
        CloudColumns {
            cloud: self,
            texels: texels.collect(),
        }
    }
}

/// A cloud's texel in each column of a grid; `u8` wraps as the tile does.
pub(crate) struct CloudColumns {
    cloud: Cloud,
    texels: Vec<u8>,
}

impl CloudColumns {
    /// Values along the row at height `y`, each from the nearest texel.
    pub fn fill_row(&self, y: f32, out: &mut [f32]) {
        let row = (y * self.cloud.texels + self.cloud.offset[1] + FAR) as usize % SIDE;
        let line: &[f32; SIDE] = tiles().cloud[row * SIDE..]
            .first_chunk()
            .expect("a tile holds whole rows");
        for (out, &texel) in out.iter_mut().zip(&self.texels) {
            *out = line[texel as usize];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{SIDE, tiles};

    #[test]
    fn grain_wraps_around_and_is_standardised() {
        let mut row = vec![0.0; 3 * SIDE + 5];
        tiles().fill_grain(250, SIDE + 3, &mut row);
        let texel = |column: usize| tiles().grain[3 * SIDE + column % SIDE];
        assert!(
            row.iter()
                .enumerate()
                .all(|(i, value)| *value == texel(250 + i))
        );
        let n = (SIDE * SIDE) as f32;
        for tile in [&tiles().grain, &tiles().cloud] {
            let variance = tile.iter().map(|v| v * v).sum::<f32>() / n;
            assert!((tile.iter().sum::<f32>() / n).abs() < 1e-3 && (variance - 1.0).abs() < 1e-3);
        }
    }
}
