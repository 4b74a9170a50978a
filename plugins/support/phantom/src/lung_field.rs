//! Visiting the pixels of one lung, shared by lung findings and lung masks.

use crate::anatomy::{Anatomy, LungDistances};
use crate::concept::Side;
use crate::pixel_box::Mask;
use crate::raster::Grid;

/// A pixel inside a lung's borders.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LungPixel {
    /// Row-major position in the image.
    pub index: usize,
    pub x: f32,
    pub y: f32,
    /// Lateral distance from the midline.
    pub q: f32,
    /// Distances from the lung's borders.
    pub distances: LungDistances,
    /// Share of the lung's air that heart and mediastinum do not take the place of.
    pub clear: f32,
    /// Whether it lies outside the outlines of heart and mediastinum.
    pub outlined: bool,
}

/// Share of the air a finding must replace, or of the lung that must be clear, for a pixel to count as
/// changed.
pub(crate) const NOTICEABLE: f32 = 0.05;

/// Calls `visit` for every pixel inside a lung's borders, also where heart or mediastinum overlap it.
pub(crate) fn visit_lung(
    grid: &Grid,
    anatomy: &Anatomy,
    side: Side,
    mut visit: impl FnMut(LungPixel),
) {
    let lung = anatomy.lungs.of(side);
    let domes = lung.dome_columns(&grid.xs);
    for (r, &y) in grid.ys.iter().enumerate() {
        let Some(row) = lung.row(y) else { continue };
        let (heart, mediastinum) = (anatomy.heart.row(y), anatomy.mediastinum.row(y));
        let midline = anatomy.midline.x(y);
        let (low, high) = row.span();
        for column in grid.columns(low, high) {
            let x = grid.xs[column];
            let distances = row.distances(x, y, domes[column]);
            if distances.nearest() >= 0.0 {
                visit(LungPixel {
                    index: r * grid.width + column,
                    x,
                    y,
                    q: side.sign() * (x - midline),
                    distances,
                    clear: (1.0 - mediastinum.depth(x)) * heart.map_or(1.0, |h| 1.0 - h.depth(x)),
                    outlined: mediastinum.distance(x) < 0.0
                        && heart.is_none_or(|h| h.distance(x) < 0.0),
                });
            }
        }
    }
}

/// The mask of those pixels of a lung that satisfy `include`.
pub(crate) fn lung_mask(
    grid: &Grid,
    anatomy: &Anatomy,
    side: Side,
    include: impl Fn(&LungPixel) -> bool,
) -> Mask {
    let mut mask = grid.empty_mask();
    visit_lung(grid, anatomy, side, |pixel| {
        mask[grid.place(pixel.index)] = include(&pixel);
    });
    mask
}
