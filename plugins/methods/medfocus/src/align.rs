//! How a reference has to be moved to look most like an image: least squares on local contrast (Lucas and Kanade, IJCAI
//! 1981), first for a shift and a zoom along each axis, then for a displacement that varies smoothly.

use medfocus_attribution::WORKING_DIM;
use medfocus_plugin_api::{BBox, Working};
use ndarray::{Array2, ArrayView2, Zip};

use crate::{
    transport::{Sampling, gauss, sample, smooth},
    warp::{Displacement, Scaling},
};

/// Cells along each side.
const SIDE: usize = 28;

/// From the middle of the grid to its outermost cells.
const HALF: f64 = (SIDE - 1) as f64 / 2.0;

/// Standard deviation of the neighbourhood that contrast is relative to, in cells.
const NEIGHBOURHOOD: f64 = 3.0;

/// Standard deviation of the final smoothing, in cells.
const SMOOTHING: f64 = 1.0;

/// Variances below are noise.
const FLAT: f64 = 1e-3;

/// Steps towards the best shift and zoom, and towards the best displacement.
const STEPS: (usize, usize) = (8, 5);

/// No step is longer, in cells.
const LONGEST: f64 = 1.5;

/// Steps below have arrived, in cells.
const ARRIVED: f64 = 0.02;

/// What is added to the diagonal of the normal equations, as a share of its sum.
const DAMPING: f64 = 0.01;

/// No patient is zoomed by more.
const ZOOM: f64 = 0.5;

/// Standard deviation of the window that shares a displacement, in cells.
const WINDOW: f64 = 5.0;

/// Weight of standing still, as a share of the mean squared gradient.
const STIFFNESS: f64 = 0.5;

/// The local contrast of an image: how many standard deviations of its neighbourhood a cell is brighter than it.
#[derive(Clone, Debug)]
pub struct Contrast {
    cells: Array2<f64>,
    /// How much of each cell is not padding.
    content: Array2<f64>,
}

impl Contrast {
    /// The contrast of a working image in 0 to 1.
    pub fn of(image: ArrayView2<'_, f64>, content: &BBox<Working>) -> Self {
        let dim = (SIDE, SIDE);
        let cells = sample(image, dim, Sampling::Area);
        let near = gauss(SIDE, NEIGHBOURHOOD);
        let mean = smooth(&near, cells.view());
        let squares = smooth(&near, (&cells * &cells).view());
        let contrast =
            Zip::from(&cells)
                .and(&mean)
                .and(&squares)
                .map_collect(|cell, mean, square| {
                    (cell - mean) / ((square - mean * mean).max(0.0) + FLAT).sqrt()
                });
        let [x1, y1, x2, y2] = content.corners().map(|c| c as usize);
        let inside = Array2::from_shape_fn(WORKING_DIM, |(y, x)| {
            f64::from(u8::from((y1..y2).contains(&y) && (x1..x2).contains(&x)))
        });
        Self {
            cells: smooth(&gauss(SIDE, SMOOTHING), contrast.view()),
            content: sample(inside.view(), dim, Sampling::Area),
        }
    }

    /// Value and slopes (down, right) between cells; beyond the edge those of the edge.
    fn at(&self, y: f64, x: f64) -> [f64; 3] {
        let split = |at: f64| {
            let at = at.clamp(0.0, (SIDE - 1) as f64);
            let cell = (at as usize).min(SIDE - 2);
            (cell, at - cell as f64)
        };
        let ((i, down), (j, right)) = (split(y), split(x));
        let corner = |i, j| self.cells[(i, j)];
        let (a, b) = (corner(i, j), corner(i, j + 1));
        let (c, d) = (corner(i + 1, j), corner(i + 1, j + 1));
        let (upper, lower) = (a + right * (b - a), c + right * (d - c));
        [
            upper + down * (lower - upper),
            lower - upper,
            (b - a) + down * ((d - c) - (b - a)),
        ]
    }
}

/// A reference moved onto a target by a shift and a zoom.
#[derive(Clone, Debug, PartialEq)]
pub struct Alignment {
    /// Where the target's cells lie in the reference.
    pub scaling: Scaling,
    /// Pearson correlation of the local contrasts after it, over the part of the target that is not padding.
    pub likeness: f64,
}

/// What the target's contrast is explained by: a constant, the reference's contrast, and its change with the shift and
/// the zoom down and right; last the target's.
type Gram = [[f64; 7]; 7];

/// The shift and zoom that make a reference most like a target, sought from a first guess; the guess itself if the
/// search ends at an absurd zoom.
pub fn align(reference: &Contrast, target: &Contrast, guess: &Scaling) -> Alignment {
    let start = Stand::of(reference, target, guess.on(SIDE));
    let mut here = start.clone();
    for _ in 0..STEPS.0 {
        let Some(moves) = here.moves() else {
            break;
        };
        let [down, zoom_down, right, zoom_right] = moves;
        let mut scaling = here.alignment.scaling;
        scaling.down.value += down;
        scaling.down.slope += zoom_down / HALF;
        scaling.right.value += right;
        scaling.right.slope += zoom_right / HALF;
        if scaling.down.slope.abs().max(scaling.right.slope.abs()) > ZOOM {
            return start.alignment;
        }
        here = Stand::of(reference, target, scaling);
    }
    here.alignment
}

/// Where the search stands.
#[derive(Clone)]
struct Stand {
    alignment: Alignment,
    /// Without the means.
    gram: Gram,
    /// Whether neither the reference nor the target is flat there.
    varied: bool,
}

impl Stand {
    fn of(reference: &Contrast, target: &Contrast, scaling: Scaling) -> Self {
        let mut gram = gram(reference, target, &scaling);
        eliminate(&mut gram, 0);
        let varied = gram[1][1].min(gram[6][6]) > FLAT * gram[0][0];
        let likeness = if varied {
            gram[1][6] / (gram[1][1] * gram[6][6]).sqrt()
        } else {
            0.0
        };
        Self {
            alignment: Alignment { scaling, likeness },
            gram,
            varied,
        }
    }

    /// What to add to the shifts, and to the zooms at the edge, in cells; nothing if that is next to nothing, or if the
    /// two do not look alike at all.
    fn moves(&self) -> Option<[f64; 4]> {
        let gain = self.gram[1][6] / self.gram[1][1];
        if !(self.varied && gain > 0.0) {
            return None;
        }
        let moves = solve(self.gram).map(|share| (share / gain).clamp(-LONGEST, LONGEST));
        moves.iter().any(|by| by.abs() >= ARRIVED).then_some(moves)
    }
}

fn gram(reference: &Contrast, target: &Contrast, scaling: &Scaling) -> Gram {
    let mut gram = [[0.0; 7]; 7];
    let place = |cell: usize| cell as f64 / HALF - 1.0;
    for ((i, j), &there) in target.cells.indexed_iter() {
        let weight = target.content[(i, j)];
        let (y, x) = (i as f64, j as f64);
        let [value, down, right] = reference.at(y + scaling.down.at(y), x + scaling.right.at(x));
        let terms = [
            1.0,
            value,
            down,
            down * place(i),
            right,
            right * place(j),
            there,
        ];
        for (row, a) in gram.iter_mut().zip(terms) {
            for (sum, b) in row.iter_mut().zip(terms) {
                *sum += weight * a * b;
            }
        }
    }
    gram
}

/// Takes a term out of all later ones.
fn eliminate(gram: &mut Gram, term: usize) {
    let pivot = gram[term];
    if pivot[term] <= 0.0 {
        return;
    }
    for row in &mut gram[term + 1..] {
        let share = row[term] / pivot[term];
        for (value, taken) in row.iter_mut().zip(pivot) {
            *value -= share * taken;
        }
    }
}

/// The coefficients of the shifts and zooms in the target, given the other terms.
fn solve(mut gram: Gram) -> [f64; 4] {
    eliminate(&mut gram, 1);
    let damping = DAMPING * (2..6).map(|i| gram[i][i]).sum::<f64>() + f64::MIN_POSITIVE;
    for (i, row) in gram.iter_mut().enumerate().skip(2) {
        row[i] += damping;
    }
    for term in 2..6 {
        eliminate(&mut gram, term);
    }
    let mut solved = [0.0; 4];
    for i in (0..4).rev() {
        let row = &gram[i + 2];
        let known: f64 = (i + 1..4).map(|j| row[j + 2] * solved[j]).sum();
        solved[i] = (row[6] - known) / row[i + 2];
    }
    solved
}

impl Alignment {
    /// Where the target's cells lie in the reference, bent from cell to cell so that the two look still more alike.
    pub fn bend(&self, reference: &Contrast, target: &Contrast) -> Displacement {
        let window = gauss(SIDE, WINDOW);
        let mut bent = self.scaling.displacement();
        for _ in 0..STEPS.1 {
            let mut terms = [(); 3].map(|()| Array2::zeros((SIDE, SIDE)));
            for ((i, j), &down) in bent.down.indexed_iter() {
                let right = bent.right[(i, j)];
                let found = reference.at(i as f64 + down, j as f64 + right);
                for (term, value) in terms.iter_mut().zip(found) {
                    term[(i, j)] = value;
                }
            }
            let [mut value, down, right] = terms;
            let weight = &target.content;
            let total = weight.sum();
            let mean = |terms: &Array2<f64>| (weight * terms).sum() / total;
            value -= mean(&value);
            let there = &target.cells - mean(&target.cells);
            let gain = mean(&(&value * &there)) / mean(&(&value * &value));
            if !(gain.is_finite() && gain > 0.0) {
                break;
            }
            let missing = there / gain - value;
            let near = |a: &Array2<f64>, b: &Array2<f64>| smooth(&window, (weight * a * b).view());
            let stiffness = STIFFNESS * mean(&(&down * &down + &right * &right));
            let (mut yy, mut xx) = (near(&down, &down), near(&right, &right));
            yy += stiffness;
            xx += stiffness;
            let yx = near(&down, &right);
            let (y, x) = (near(&down, &missing), near(&right, &missing));
            let determinant = &yy * &xx - &yx * &yx;
            let step = |by: Array2<f64>| (by / &determinant).mapv(|by| by.clamp(-LONGEST, LONGEST));
            bent.down += &step(&xx * &y - &yx * &x);
            bent.right += &step(&yy * &x - &yx * &y);
        }
        bent
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::warp::Line;
    use proptest::prelude::*;

    const STILL: Line = Line {
        centre: HALF,
        value: 0.0,
        slope: 0.0,
    };

    /// Blobs of several sizes, seen through a shift (in pixels) and a zoom about the middle, and a tone curve.
    fn blobs(shift: (f64, f64), zoom: f64, gain: f64) -> Contrast {
        let centres = [
            (60.0, 70.0, 25.0),
            (150.0, 90.0, 18.0),
            (100.0, 160.0, 30.0),
        ];
        let levels = Array2::from_shape_fn(WORKING_DIM, |(y, x)| {
            let from = |at: usize, shift: f64| 111.5 + (at as f64 - 111.5) * zoom + shift;
            let (y, x) = (from(y, shift.0), from(x, shift.1));
            let blob = |&(row, column, width): &(f64, f64, f64)| {
                (-((y - row).powi(2) + (x - column).powi(2)) / (2.0 * width * width)).exp()
            };
            0.1 + gain * centres.iter().map(blob).sum::<f64>()
        });
        Contrast::of(levels.view(), &BBox::new(0, 0, 224, 224).unwrap())
    }

    fn still() -> Scaling {
        Scaling::new((SIDE, SIDE), STILL, STILL)
    }

    proptest! {
        #[test]
        fn a_shift_and_a_zoom_are_found(down in -10f64..10.0, right in -10f64..10.0, zoom in 0.9f64..1.1) {
            let reference = blobs((0.0, 0.0), 1.0, 0.5);
            let target = blobs((down, right), zoom, 0.3);
            let found = align(&reference, &target, &still());
            prop_assert!(found.likeness > 0.97, "{}", found.likeness);
            for cell in [6.0, 20.0] {
                let exact = |shift: f64| (cell - HALF) * (zoom - 1.0) + shift / 8.0;
                let missed = [
                    found.scaling.down.at(cell) - exact(down),
                    found.scaling.right.at(cell) - exact(right),
                ];
                prop_assert!(missed.iter().all(|missed| missed.abs() < 0.5), "{missed:?}");
            }
        }
    }

    #[test]
    fn an_image_lies_on_itself_and_no_zoom_is_absurd() {
        let image = blobs((0.0, 0.0), 1.0, 0.5);
        let alignment = align(&image, &image, &still());
        assert!(alignment.likeness > 1.0 - 1e-9);
        assert_eq!(alignment.scaling, still());
        let bent = alignment.bend(&image, &image);
        assert!(
            bent.down
                .iter()
                .chain(&bent.right)
                .all(|by| by.abs() < 1e-9)
        );

        let absurd = Scaling::new(
            (SIDE, SIDE),
            STILL,
            Line {
                slope: 0.6,
                ..STILL
            },
        );
        let found = align(&image, &image, &absurd).scaling;
        assert!(found.right.slope.abs() < 0.01, "{found:?}");
        let wide = Scaling::new(
            (SIDE, SIDE),
            STILL,
            Line {
                slope: 0.45,
                ..STILL
            },
        );
        for zoom in [0.4, 1.6, 1.9, 2.5] {
            let found = align(&image, &blobs((0.0, 0.0), zoom, 0.5), &wide).scaling;
            assert!(found.right.slope.abs() <= ZOOM, "{zoom}: {found:?}");
        }
        let flat = Contrast::of(
            Array2::from_elem(WORKING_DIM, 0.5).view(),
            &BBox::new(0, 0, 224, 224).unwrap(),
        );
        for (from, to) in [(&image, &flat), (&flat, &image), (&flat, &flat)] {
            let alignment = align(from, to, &still());
            assert_eq!(alignment.likeness, 0.0);
            let bent = alignment.bend(from, to);
            assert!(bent.down.iter().chain(&bent.right).all(|by| by.is_finite()));
        }
    }

    #[test]
    fn a_bent_image_is_followed() {
        // The lower blob alone moves down by 8 pixels.
        let levels = |lower: f64| {
            let levels = Array2::from_shape_fn(WORKING_DIM, |(y, x)| {
                let blob = |row: f64, column: f64| {
                    let squared = (y as f64 - row).powi(2) + (x as f64 - column).powi(2);
                    (-squared / 800.0).exp()
                };
                0.1 + 0.4 * (blob(60.0, 80.0) + blob(60.0, 150.0) + blob(lower, 110.0))
            });
            Contrast::of(levels.view(), &BBox::new(0, 0, 224, 224).unwrap())
        };
        let (reference, target) = (levels(165.0), levels(173.0));
        let still = Alignment {
            scaling: still(),
            likeness: 0.0,
        };
        let bent = still.bend(&reference, &target);
        assert!(
            (bent.down[(21, 13)] + 1.0).abs() < 0.3,
            "{}",
            bent.down[(21, 13)]
        );
        assert!(bent.down[(6, 10)].abs() < 0.2, "{}", bent.down[(6, 10)]);
    }
}
