//! Maps from the pixels of a target to those of a reference.

use medfocus_attribution::WORKING_DIM;
use medfocus_plugin_api::heat::upsample;
use ndarray::{Array2, ArrayView2, Axis};

use crate::transport::Plan;

/// For each pixel of the target how far away in the reference the same anatomy lies, in pixels: down and right.
#[derive(Clone, Debug, PartialEq)]
pub struct Warp {
    down: Array2<f32>,
    right: Array2<f32>,
}

impl Warp {
    /// The barycentric map of a plan from the reference to the target, bilinear between cells: each target cell lies
    /// at the mean place of what it receives.
    ///
    /// Entropy pulls that mean towards the middle of the mass, in a transport of the target to itself just as much:
    /// given that plan too, its displacement is taken off (as Pooladian, Cuturi and Niles-Weed, ICML 2022, do).
    pub fn barycentric(plan: &Plan, to_itself: Option<&Plan>) -> Self {
        let along = |axis: Axis, pixels: usize| {
            let displacement = displacement(plan, to_itself, axis);
            let scale = pixels as f64 / displacement.len_of(axis) as f64;
            let pixels = displacement.mapv(|cells| (cells * scale) as f32);
            upsample(pixels.view(), WORKING_DIM.0, WORKING_DIM.1)
        };
        Self {
            down: along(Axis(0), WORKING_DIM.0),
            right: along(Axis(1), WORKING_DIM.1),
        }
    }

    /// A shift and a zoom along each axis: those that fit the barycentric map best, in the mean square over the mass
    /// that arrives. What differs between two images besides where the patient stands does not bend it.
    pub fn affine(plan: &Plan, to_itself: Option<&Plan>) -> Self {
        let mass = plan.arriving();
        let along = |axis: Axis, pixels: usize| {
            let displacement = displacement(plan, to_itself, axis);
            let scale = pixels as f64 / displacement.len_of(axis) as f64;
            let line = Line::fit(&displacement, &mass, axis);
            let at = |pixel| line.at((pixel as f64 + 0.5) / scale - 0.5) * scale;
            (0..pixels)
                .map(|pixel| at(pixel) as f32)
                .collect::<Vec<_>>()
        };
        let down = along(Axis(0), WORKING_DIM.0);
        let right = along(Axis(1), WORKING_DIM.1);
        Self {
            down: Array2::from_shape_fn(WORKING_DIM, |(y, _)| down[y]),
            right: Array2::from_shape_fn(WORKING_DIM, |(_, x)| right[x]),
        }
    }

    /// What the reference has at the place of each pixel of the target, the nearest inside.
    pub fn pull<T: Copy>(&self, reference: ArrayView2<'_, T>) -> Array2<T> {
        let nearest = |at: usize, by: f32, pixels: usize| {
            ((at as f32 + by + 0.5).max(0.0) as usize).min(pixels - 1)
        };
        let (rows, columns) = reference.dim();
        let mut pulled = Vec::with_capacity(self.down.len());
        for (y, (down, right)) in self
            .down
            .rows()
            .into_iter()
            .zip(self.right.rows())
            .enumerate()
        {
            pulled.extend(
                down.iter()
                    .zip(right)
                    .enumerate()
                    .map(|(x, (&down, &right))| {
                        reference[(nearest(y, down, rows), nearest(x, right, columns))]
                    }),
            );
        }
        Array2::from_shape_vec(self.down.dim(), pulled).expect("a value for each pixel")
    }
}

/// Of each target cell, how many cells further along the axis its place in the source is.
fn displacement(plan: &Plan, to_itself: Option<&Plan>, axis: Axis) -> Array2<f64> {
    let places = Array2::from_shape_fn(plan.dim(), |at| place(at, axis));
    let from = match to_itself {
        Some(plan) => plan.barycentric(places.view()),
        None => places.clone(),
    };
    plan.barycentric(places.view()) - from
}

fn place((y, x): (usize, usize), axis: Axis) -> f64 {
    [y, x][axis.index()] as f64
}

/// A function of the place along an axis.
struct Line {
    centre: f64,
    value: f64,
    slope: f64,
}

impl Line {
    /// Weighted least squares.
    fn fit(values: &Array2<f64>, weights: &Array2<f64>, axis: Axis) -> Self {
        let mean = |f: &dyn Fn((usize, usize)) -> f64| {
            let sum: f64 = weights
                .indexed_iter()
                .map(|(at, weight)| weight * f(at))
                .sum();
            sum / weights.sum()
        };
        let centre = mean(&|at| place(at, axis));
        let value = mean(&|at| values[at]);
        let variance = mean(&|at| (place(at, axis) - centre).powi(2));
        let covariance = mean(&|at| (place(at, axis) - centre) * (values[at] - value));
        Self {
            centre,
            value,
            // One row or column has no zoom.
            slope: if variance > 0.0 {
                covariance / variance
            } else {
                0.0
            },
        }
    }

    fn at(&self, place: f64) -> f64 {
        self.value + self.slope * (place - self.centre)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::{Entropy, Measure, Sinkhorn};

    /// A blob of this centre and width on a grid of 28.
    fn blob(centre: (f64, f64), width: f64) -> Measure {
        let weights = Array2::from_shape_fn((28, 28), |(y, x)| {
            let squared = (y as f64 - centre.0).powi(2) + (x as f64 - centre.1).powi(2);
            (-squared / (2.0 * width * width)).exp()
        });
        Measure::new(weights).unwrap()
    }

    fn plans(source: &Measure, target: &Measure, eps: f64, lambda: f64) -> (Plan, Plan) {
        let sinkhorn = Sinkhorn {
            eps,
            lambda,
            entropy: Entropy::Relative,
            tolerance: 1e-9,
            iterations: 5000,
        };
        let solve = |from| sinkhorn.solve(from, target).unwrap();
        (solve(source), solve(target))
    }

    #[test]
    fn an_image_lies_on_itself() {
        let image = blob((12.0, 15.0), 3.0);
        let (plan, to_itself) = plans(&image, &image, 0.05, 1.0);
        for warp in [
            Warp::barycentric(&plan, Some(&to_itself)),
            Warp::affine(&plan, Some(&to_itself)),
        ] {
            let furthest = warp
                .down
                .iter()
                .chain(&warp.right)
                .fold(0.0, |most: f32, d| most.max(d.abs()));
            assert!(furthest < 1e-4, "{furthest}");
        }
        // The entropy's pull towards the middle.
        let pulled = Warp::affine(&plan, None);
        assert!(pulled.down[(10, 100)] > 2.0, "{}", pulled.down[(10, 100)]);
    }

    #[test]
    fn a_moved_and_zoomed_blob_is_followed() {
        // With nearly balanced marginals a Gaussian goes to a Gaussian by the affine map between them.
        let (source, target) = (blob((12.0, 15.0), 3.0), blob((14.0, 12.0), 2.4));
        let (plan, to_itself) = plans(&source, &target, 0.01, 100.0);
        let warp = Warp::affine(&plan, Some(&to_itself));
        let exact = |cell: f64, from: f64, to: f64| from + (cell - to) * 3.0 / 2.4 - cell;
        for pixel in [60, 112, 150] {
            let cell = (pixel as f64 + 0.5) / 8.0 - 0.5;
            let down = f64::from(warp.down[(pixel, 40)]) / 8.0;
            let right = f64::from(warp.right[(40, pixel)]) / 8.0;
            assert!(
                (down - exact(cell, 12.0, 14.0)).abs() < 0.25,
                "{down} {}",
                exact(cell, 12.0, 14.0)
            );
            assert!(
                (right - exact(cell, 15.0, 12.0)).abs() < 0.25,
                "{right} {}",
                exact(cell, 15.0, 12.0)
            );
        }
    }

    #[test]
    fn pixels_are_pulled_and_edges_repeated() {
        let warp = Warp {
            down: Array2::from_elem(WORKING_DIM, 1.4),
            right: Array2::from_elem(WORKING_DIM, -2.6),
        };
        let reference = Array2::from_shape_fn(WORKING_DIM, |(y, x)| (y, x));
        let pulled = warp.pull(reference.view());
        assert_eq!(pulled[(10, 10)], (11, 7));
        assert_eq!(pulled[(223, 1)], (223, 0));
    }
}
