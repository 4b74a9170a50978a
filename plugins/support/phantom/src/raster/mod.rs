//! Drawing primitives: the pixel grid, additive layers, brush strokes, texture tiles and the tone curve.

mod brush;
mod grid;
mod layers;
mod tiles;
mod tone;

pub(crate) use brush::{Knot, Profile, bezier, cover, cover_ellipse, ellipse, stroke};
pub(crate) use grid::Grid;
pub(crate) use layers::Layers;
pub(crate) use tiles::{Cloud, tiles};
pub(crate) use tone::Tone;

/// Rounded rise from 0 at `t <= 0` to 1 at `t >= 1`: the path length through a body with a round edge.
#[inline(always)]
pub(crate) fn bulge(t: f32) -> f32 {
    let u = 1.0 - t.clamp(0.0, 1.0);
    1.0 - u * u
}

/// Smooth step from 0 at `t <= 0` to 1 at `t >= 1`.
#[inline(always)]
pub(crate) fn smooth(t: f32) -> f32 {
    let u = t.clamp(0.0, 1.0);
    u * u * (3.0 - 2.0 * u)
}

/// Linear interpolation.
#[inline(always)]
pub(crate) fn lerp(a: f32, b: f32, t: f32) -> f32 {
    a + (b - a) * t
}
