//! Maps from the cells and pixels of a target to those of a reference.

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

/// For each cell of a target how many cells further the same anatomy lies in the reference.
#[derive(Clone, Debug, PartialEq)]
pub struct Displacement {
    /// Along the columns.
    pub down: Array2<f64>,
    /// Along the rows.
    pub right: Array2<f64>,
}

impl Displacement {
    /// The barycentric map of a plan from the reference to the target: each target cell lies at the mean place of what
    /// it receives.
    ///
    /// Entropy pulls that mean towards the middle of the mass, in a transport of the target to itself just as much:
    /// given that plan too, its displacement is taken off (as Pooladian, Cuturi and Niles-Weed, ICML 2022, do).
    pub fn barycentric(plan: &Plan, to_itself: Option<&Plan>) -> Self {
        let along = |axis: Axis| {
            let places = Array2::from_shape_fn(plan.dim(), |at| place(at, axis));
            let from = match to_itself {
                Some(plan) => plan.barycentric(places.view()),
                None => places.clone(),
            };
            plan.barycentric(places.view()) - from
        };
        Self {
            down: along(Axis(0)),
            right: along(Axis(1)),
        }
    }

    /// The displacement of pixels, bilinear between cells.
    pub fn warp(&self) -> Warp {
        let pixels = |cells: &Array2<f64>, axis: Axis, pixels: usize| {
            let scale = pixels as f64 / cells.len_of(axis) as f64;
            let displacement = cells.mapv(|cells| (cells * scale) as f32);
            upsample(displacement.view(), WORKING_DIM.0, WORKING_DIM.1)
        };
        Warp {
            down: pixels(&self.down, Axis(0), WORKING_DIM.0),
            right: pixels(&self.right, Axis(1), WORKING_DIM.1),
        }
    }
}

/// A shift and a zoom along each axis of a grid.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scaling {
    /// Cells along each axis.
    cells: (usize, usize),
    /// The displacement down, by row.
    pub down: Line,
    /// The displacement to the right, by column.
    pub right: Line,
}

impl Scaling {
    /// One on a grid of (rows, columns).
    pub fn new(cells: (usize, usize), down: Line, right: Line) -> Self {
        Self { cells, down, right }
    }

    /// Those that fit the barycentric map of a plan best, in the mean square over the mass that arrives. What differs
    /// between two images besides where the patient stands does not bend it.
    pub fn of(plan: &Plan, to_itself: Option<&Plan>) -> Self {
        let mass = plan.arriving();
        let Displacement { down, right } = Displacement::barycentric(plan, to_itself);
        Self {
            cells: plan.dim(),
            down: Line::fit(&down, &mass, Axis(0)),
            right: Line::fit(&right, &mass, Axis(1)),
        }
    }

    /// The same on a grid of so many cells along each side, each line about its middle.
    pub fn on(&self, side: usize) -> Self {
        let along = |line: &Line, cells: usize| {
            let scale = side as f64 / cells as f64;
            let centre = (side as f64 - 1.0) / 2.0;
            Line {
                centre,
                value: line.at((centre + 0.5) / scale - 0.5) * scale,
                slope: line.slope,
            }
        };
        Self {
            cells: (side, side),
            down: along(&self.down, self.cells.0),
            right: along(&self.right, self.cells.1),
        }
    }

    /// Of each cell.
    pub fn displacement(&self) -> Displacement {
        Displacement {
            down: Array2::from_shape_fn(self.cells, |(y, _)| self.down.at(y as f64)),
            right: Array2::from_shape_fn(self.cells, |(_, x)| self.right.at(x as f64)),
        }
    }

    /// Of each pixel.
    pub fn warp(&self) -> Warp {
        let along = |line: &Line, cells: usize, pixels: usize| {
            let scale = pixels as f64 / cells as f64;
            let at = |pixel| line.at((pixel as f64 + 0.5) / scale - 0.5) * scale;
            (0..pixels)
                .map(|pixel| at(pixel) as f32)
                .collect::<Vec<_>>()
        };
        let down = along(&self.down, self.cells.0, WORKING_DIM.0);
        let right = along(&self.right, self.cells.1, WORKING_DIM.1);
        Warp {
            down: Array2::from_shape_fn(WORKING_DIM, |(y, _)| down[y]),
            right: Array2::from_shape_fn(WORKING_DIM, |(_, x)| right[x]),
        }
    }
}

impl Warp {
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

fn place((y, x): (usize, usize), axis: Axis) -> f64 {
    [y, x][axis.index()] as f64
}

/// A displacement that is a linear function of the place along its axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    /// A place.
    pub centre: f64,
    /// The displacement there.
    pub value: f64,
    /// What it grows by from cell to cell.
    pub slope: f64,
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

    /// The displacement at a place.
    pub fn at(&self, place: f64) -> f64 {
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
            Displacement::barycentric(&plan, Some(&to_itself)).warp(),
            Scaling::of(&plan, Some(&to_itself)).warp(),
        ] {
            let furthest = warp
                .down
                .iter()
                .chain(&warp.right)
                .fold(0.0, |most: f32, d| most.max(d.abs()));
            assert!(furthest < 1e-4, "{furthest}");
        }
        // The entropy's pull towards the middle.
        let pulled = Scaling::of(&plan, None).warp();
        assert!(pulled.down[(10, 100)] > 2.0, "{}", pulled.down[(10, 100)]);
    }

    #[test]
    fn a_moved_and_zoomed_blob_is_followed() {
        // With nearly balanced marginals a Gaussian goes to a Gaussian by the affine map between them.
        let (source, target) = (blob((12.0, 15.0), 3.0), blob((14.0, 12.0), 2.4));
        let (plan, to_itself) = plans(&source, &target, 0.01, 100.0);
        let warp = Scaling::of(&plan, Some(&to_itself)).warp();
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
