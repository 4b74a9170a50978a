//! Strokes of varying width: ribs, vessels, wires.

use super::Grid;
use crate::pixel_box::Mask;

/// A point of a stroke's centre line with the half width there, in film units.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Knot {
    pub x: f32,
    pub y: f32,
    pub r: f32,
}

/// How attenuation varies across a stroke.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Profile {
    /// A solid rod.
    Rod,
    /// A hollow bone: the cortex is brighter than the marrow.
    Bone,
    /// A flat box: full depth but for a narrow rim.
    Plate,
}

/// A quadratic Bezier curve as `n + 1` knots; the half widths run from `r.0` to `r.1`.
pub(crate) fn bezier(
    a: [f32; 2],
    b: [f32; 2],
    c: [f32; 2],
    r: (f32, f32),
    n: usize,
) -> impl Iterator<Item = Knot> {
    (0..=n).map(move |i| {
        let t = i as f32 / n as f32;
        let (wa, wb, wc) = ((1.0 - t) * (1.0 - t), 2.0 * t * (1.0 - t), t * t);
        Knot {
            x: wa * a[0] + wb * b[0] + wc * c[0],
            y: wa * a[1] + wb * b[1] + wc * c[1],
            r: r.0 + (r.1 - r.0) * t,
        }
    })
}

/// Paints a stroke into `layer`, keeping the larger value where it overlaps what is there.
///
/// Strokes thinner than a pixel are drawn a pixel and a half wide and fainter, so that their mass is kept.
pub(crate) fn stroke(layer: &mut [f32], grid: &Grid, knots: &[Knot], gain: f32, profile: Profile) {
    // One loop for each profile, free of branches.
    match profile {
        Profile::Rod => stroke_with(layer, grid, knots, gain, Joint::Round, |q| q * (2.0 - q)),
        Profile::Plate => stroke_with(layer, grid, knots, gain, Joint::Round, |q| {
            (4.0 * q).min(1.0)
        }),
        Profile::Bone => stroke_with(layer, grid, knots, gain, Joint::Butt, |q| {
            0.62 * (3.0 * q).min(1.0) + 1.52 * q * (1.0 - q)
        }),
    }
}

/// How one segment of a stroke meets the next.
#[derive(Clone, Copy, PartialEq)]
enum Joint {
    /// Each segment ends in a half disc.
    Round,
    /// Segments end square, or the bright cortex of one's end would show inside the other.
    Butt,
}

/// Marks every pixel whose centre lies within the stroke, widened as [`stroke`] does, so that thin strokes
/// stay connected.
pub(crate) fn cover(mask: &mut Mask, grid: &Grid, knots: &[Knot]) {
    let mut layer = vec![0.0; grid.width * grid.height];
    let solid = |k: &Knot| Knot {
        r: k.r.max(THINNEST * grid.pixel),
        ..*k
    };
    let knots: Vec<Knot> = knots.iter().map(solid).collect();
    stroke_with(&mut layer, grid, &knots, 1.0, Joint::Round, |q| q);
    mask.iter_mut()
        .zip(&layer)
        .for_each(|(set, &value)| *set |= value > 0.0);
}

/// Least half width drawn, in pixels.
const THINNEST: f32 = 0.75;

/// `profile` maps `q = 1 - (distance / half width)^2` in `[0, 1]` to a path length; it is 0 at 0.
#[inline(always)]
fn stroke_with(
    layer: &mut [f32],
    grid: &Grid,
    knots: &[Knot],
    gain: f32,
    joint: Joint,
    profile: impl Fn(f32) -> f32,
) {
    let segments = knots.len().saturating_sub(1);
    for (index, pair) in knots.windows(2).enumerate() {
        let (a, b) = (pair[0], pair[1]);
        let true_radius = 0.5 * (a.r + b.r);
        let radius = true_radius.max(THINNEST * grid.pixel);
        let gain = gain * true_radius / radius;
        let (dx, dy) = (b.x - a.x, b.y - a.y);
        let inverse = 1.0 / (dx * dx + dy * dy).max(1e-12);
        let (along_x, along_y) = (dx * inverse, dy * inverse);
        let sharpness = 1.0 / (radius * radius);
        // A little overlap fills the wedge on the outer side of a bend.
        let overlap = 0.15 * radius * inverse.sqrt();
        let open = |end: bool| {
            if joint == Joint::Round || end {
                f32::MAX
            } else {
                overlap
            }
        };
        let (before, beyond) = (-open(index == 0), 1.0 + open(index + 1 == segments));
        let columns = grid.columns(a.x.min(b.x) - radius, a.x.max(b.x) + radius);
        let xs = &grid.xs[columns.clone()];
        for row in grid.rows(a.y.min(b.y) - radius, a.y.max(b.y) + radius) {
            let py = grid.ys[row] - a.y;
            let pixels = &mut layer[row * grid.width..][columns.clone()];
            for (pixel, x) in pixels.iter_mut().zip(xs) {
                let px = x - a.x;
                let place = px * along_x + py * along_y;
                let t = place.clamp(0.0, 1.0);
                let (ex, ey) = (px - t * dx, py - t * dy);
                let q = (1.0 - (ex * ex + ey * ey) * sharpness).max(0.0);
                let within = if (place >= before) & (place <= beyond) {
                    gain
                } else {
                    0.0
                };
                *pixel = pixel.max(within * profile(q));
            }
        }
    }
}

/// Calls `visit(index, x, y, q)` for each pixel inside an axis-aligned ellipse: `q` is 1 at the centre and 0
/// at the border.
#[inline(always)]
pub(crate) fn ellipse(
    grid: &Grid,
    centre: [f32; 2],
    axes: [f32; 2],
    mut visit: impl FnMut(usize, f32, f32, f32),
) {
    let columns = grid.columns(centre[0] - axes[0], centre[0] + axes[0]);
    for row in grid.rows(centre[1] - axes[1], centre[1] + axes[1]) {
        let y = grid.ys[row];
        let dy = (y - centre[1]) / axes[1];
        for column in columns.clone() {
            let x = grid.xs[column];
            let dx = (x - centre[0]) / axes[0];
            let q = 1.0 - dx * dx - dy * dy;
            if q > 0.0 {
                visit(row * grid.width + column, x, y, q);
            }
        }
    }
}

/// Marks every pixel whose centre lies inside an axis-aligned ellipse.
pub(crate) fn cover_ellipse(mask: &mut Mask, grid: &Grid, centre: [f32; 2], axes: [f32; 2]) {
    ellipse(grid, centre, axes, |index, _, _, _| {
        mask[grid.place(index)] = true
    });
}

#[cfg(test)]
mod tests {
    use super::{Knot, Profile, cover, stroke};
    use crate::raster::Grid;

    fn line(r: f32) -> [Knot; 3] {
        [-0.6, 0.0, 0.6].map(|x| Knot { x, y: 0.3 * x, r })
    }

    fn mass(grid: &Grid, r: f32) -> f32 {
        let mut layer = vec![0.0; grid.width * grid.height];
        stroke(&mut layer, grid, &line(r), 1.0, Profile::Rod);
        layer.iter().sum::<f32>() * grid.pixel * grid.pixel
    }

    #[test]
    fn thin_strokes_keep_their_mass_on_coarse_grids() {
        let (fine, coarse) = (Grid::new(1024, 1024), Grid::new(96, 96));
        let (expected, got) = (mass(&fine, 0.008), mass(&coarse, 0.008));
        assert!(
            (got / expected - 1.0).abs() < 0.08,
            "{got} instead of {expected}"
        );
    }

    #[test]
    fn a_stroke_is_brightest_on_its_line_and_covers_what_it_paints() {
        let grid = Grid::new(128, 128);
        for profile in [Profile::Rod, Profile::Plate, Profile::Bone] {
            let mut layer = vec![0.0; 128 * 128];
            stroke(&mut layer, &grid, &line(0.05), 1.0, profile);
            let mut mask = grid.empty_mask();
            cover(&mut mask, &grid, &line(0.05));
            for (index, value) in layer.iter().enumerate() {
                assert!(*value <= 1.0 + 1e-6);
                assert!(*value == 0.0 || mask[grid.place(index)]);
            }
        }
    }

    #[test]
    fn a_single_point_makes_a_disc() {
        let grid = Grid::new(200, 200);
        let mut mask = grid.empty_mask();
        cover(
            &mut mask,
            &grid,
            &[Knot {
                x: 0.1,
                y: -0.2,
                r: 0.3,
            }; 2],
        );
        let area = mask.iter().filter(|set| **set).count() as f32 * grid.pixel * grid.pixel;
        assert!((area / (std::f32::consts::PI * 0.09) - 1.0).abs() < 0.01);
    }
}
