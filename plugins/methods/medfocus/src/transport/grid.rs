//! Images and masks on a coarser grid, and the measures made of them.

use medfocus_plugin_api::{Error, Result, choices};
use ndarray::{Array2, ArrayView1, ArrayView2, Axis};

choices! {
    /// How pixels become cells.
    pub enum Sampling {
        /// A cell is the average of the pixels it covers, a pixel on its edge by its share.
        Area = "area",
        /// First-order spline whose end points are the image's (nearest pixel for masks), as in the published code:
        /// cell i of g reads pixel i (n - 1) / (g - 1) of n, though it covers the pixels from i n / g on.
        Published = "published",
    }
}

/// Which cells carry mass.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Support {
    /// Cells above this intensity, 0 to 1.
    pub threshold: f64,
    /// At most so many of them, the brightest; of equals the first in reading order.
    pub limit: usize,
}

/// A probability measure on a grid: not negative, and sums to 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Measure(Array2<f64>);

impl Measure {
    /// The measure proportional to these weights.
    ///
    /// # Errors
    ///
    /// [`Error::invalid`] if a weight is negative or not finite, or none is positive.
    pub fn new(weights: Array2<f64>) -> Result<Self> {
        if !weights.iter().all(|w| w.is_finite() && *w >= 0.0) {
            return Err(Error::invalid(
                "a measure has a negative or non-finite weight",
            ));
        }
        let total = weights.sum();
        if !(total.is_finite() && total > 0.0) {
            return Err(Error::invalid("a measure has no mass"));
        }
        Ok(Self(weights / total))
    }

    /// The intensities of an image, 0 to 1, on its support in a grid of (rows, columns).
    ///
    /// # Errors
    ///
    /// [`Error::invalid`] if no cell is bright enough.
    pub fn of_image(
        image: ArrayView2<'_, f64>,
        dim: (usize, usize),
        sampling: Sampling,
        support: &Support,
    ) -> Result<Self> {
        let mut cells = sample(image, dim, sampling);
        support.keep(&mut cells);
        Self::new(cells).map_err(|_| {
            Error::invalid(format!(
                "no cell of the image is brighter than {} of its range",
                support.threshold
            ))
        })
    }

    /// Mass of each cell.
    pub fn view(&self) -> ArrayView2<'_, f64> {
        self.0.view()
    }
}

impl Support {
    /// Empties the cells that are not part of the support.
    fn keep(&self, cells: &mut Array2<f64>) {
        cells.mapv_inplace(|cell| if cell > self.threshold { cell } else { 0.0 });
        let mut bright: Vec<f64> = cells.iter().copied().filter(|&cell| cell > 0.0).collect();
        if bright.len() <= self.limit {
            return;
        }
        bright.sort_unstable_by(|a, b| b.total_cmp(a));
        // The brightest that no longer fits; of its equals the first may.
        let edge = bright[self.limit];
        let mut equals = self.limit - bright.partition_point(|&cell| cell > edge);
        cells.mapv_inplace(|cell| {
            let fits = cell > edge || cell == edge && equals > 0;
            equals -= usize::from(fits && cell == edge);
            if fits { cell } else { 0.0 }
        });
    }
}

/// An image on a grid of (rows, columns), at least one each.
pub fn sample(image: ArrayView2<'_, f64>, dim: (usize, usize), sampling: Sampling) -> Array2<f64> {
    match sampling {
        Sampling::Area => resample(image, dim, area),
        Sampling::Published => resample(image, dim, spline),
    }
}

/// How much of each cell of a grid of (rows, columns) belongs to a mask, 0 to 1.
pub fn sample_mask(
    mask: ArrayView2<'_, bool>,
    dim: (usize, usize),
    sampling: Sampling,
) -> Array2<f64> {
    let mask = mask.mapv(|inside| f64::from(u8::from(inside)));
    match sampling {
        Sampling::Area => resample(mask.view(), dim, area),
        Sampling::Published => resample(mask.view(), dim, nearest),
    }
}

/// The consecutive pixels that one cell reads along an axis, and how much of each; the shares sum to 1.
struct Taps {
    first: usize,
    shares: Vec<f64>,
}

/// What cell `i` of `cells` reads of `pixels`.
type Axes = fn(i: usize, cells: usize, pixels: usize) -> Taps;

fn area(i: usize, cells: usize, pixels: usize) -> Taps {
    // In units of 1 / cells of a pixel, where everything is whole.
    let (start, end) = (i * pixels, (i + 1) * pixels);
    let shares = (start / cells..end.div_ceil(cells)).map(|pixel| {
        let covered = end.min((pixel + 1) * cells) - start.max(pixel * cells);
        covered as f64 / pixels as f64
    });
    Taps {
        first: start / cells,
        shares: shares.collect(),
    }
}

fn spline(i: usize, cells: usize, pixels: usize) -> Taps {
    let (first, share) = end_to_end(i, cells, pixels);
    let mut shares = vec![1.0 - share];
    shares.extend((first + 1 < pixels).then_some(share));
    Taps { first, shares }
}

fn nearest(i: usize, cells: usize, pixels: usize) -> Taps {
    let (first, share) = end_to_end(i, cells, pixels);
    Taps {
        first: first + usize::from(share >= 0.5),
        shares: vec![1.0],
    }
}

/// The pixel at or before i (pixels - 1) / (cells - 1), and how far beyond it that is.
fn end_to_end(i: usize, cells: usize, pixels: usize) -> (usize, f64) {
    let (steps, length) = ((cells - 1).max(1), pixels - 1);
    let (whole, rest) = (i * length / steps, i * length % steps);
    (whole, rest as f64 / steps as f64)
}

fn resample(
    image: ArrayView2<'_, f64>,
    (rows, columns): (usize, usize),
    axes: Axes,
) -> Array2<f64> {
    let once = resample_rows(image, rows, axes);
    let twice = resample_rows(once.t(), columns, axes);
    twice.t().as_standard_layout().into_owned()
}

fn resample_rows(image: ArrayView2<'_, f64>, rows: usize, axes: Axes) -> Array2<f64> {
    let mut made = Array2::zeros((rows, image.ncols()));
    for (i, mut row) in made.axis_iter_mut(Axis(0)).enumerate() {
        let taps = axes(i, rows, image.nrows());
        for (offset, &share) in taps.shares.iter().enumerate() {
            let from: ArrayView1<'_, f64> = image.row(taps.first + offset);
            row.scaled_add(share, &from);
        }
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn close(a: &Array2<f64>, b: &Array2<f64>) -> bool {
        a.dim() == b.dim() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12)
    }

    #[test]
    fn a_cell_averages_what_it_covers() {
        let image = array![[1.0, 2.0, 6.0], [4.0, 5.0, 6.0]];
        // Two columns of 1.5 pixels each.
        let cells = sample(image.view(), (1, 2), Sampling::Area);
        assert!(close(
            &cells,
            &array![[(5.0 + 3.5) / 3.0, (12.0 + 3.5) / 3.0]]
        ));
        let same = sample(image.view(), (2, 3), Sampling::Area);
        assert!(close(&same, &image));
        let finer = sample(image.view(), (2, 6), Sampling::Area);
        assert_eq!(finer.row(0).to_vec(), [1.0, 1.0, 2.0, 2.0, 6.0, 6.0]);
    }

    #[test]
    fn the_published_sampling_joins_the_end_points() {
        // scipy.ndimage.zoom of 0..8 by a half, order 1: 0, 7/3, 14/3, 7; order 0: 0, 2, 5, 7.
        let ramp = Array2::from_shape_fn((8, 8), |(_, x)| x as f64);
        let cells = sample(ramp.view(), (1, 4), Sampling::Published);
        assert!(close(&cells, &array![[0.0, 7.0 / 3.0, 14.0 / 3.0, 7.0]]));
        let of_column = |x| Array2::from_shape_fn((8, 8), |(_, column)| column == x);
        for (column, cell) in [(0, 0), (2, 1), (5, 2), (7, 3)] {
            let mask = sample_mask(of_column(column).view(), (2, 4), Sampling::Published);
            assert_eq!(mask.sum(), 2.0, "column {column}");
            assert_eq!(mask[(0, cell)], 1.0);
        }
        assert_eq!(
            sample_mask(of_column(3).view(), (2, 4), Sampling::Published).sum(),
            0.0
        );
        assert_eq!(
            sample_mask(of_column(3).view(), (2, 4), Sampling::Area)[(0, 1)],
            0.5
        );
    }

    #[test]
    fn the_support_is_bright_and_limited() {
        let mut cells = array![[0.02, 0.5, 0.3], [0.3, 0.021, 0.3]];
        let support = Support {
            threshold: 0.02,
            limit: 3,
        };
        support.keep(&mut cells);
        assert_eq!(cells, array![[0.0, 0.5, 0.3], [0.3, 0.0, 0.0]]);
        let all = Support {
            threshold: 0.0,
            limit: 4,
        };
        let before = cells.clone();
        all.keep(&mut cells);
        assert_eq!(cells, before);
    }

    #[test]
    fn measures_are_probabilities_or_refused() {
        let support = Support {
            threshold: 0.02,
            limit: 4000,
        };
        let of = |pixels: Array2<f64>| {
            Measure::of_image(pixels.view(), (2, 2), Sampling::Area, &support)
        };
        let pixels =
            Array2::from_shape_fn((4, 4), |(y, x)| if y < 2 && x < 2 { 0.02 } else { 1.0 });
        let measure = of(pixels).unwrap();
        assert_eq!(
            measure.view(),
            array![[0.0, 1.0 / 3.0], [1.0 / 3.0, 1.0 / 3.0]]
        );
        let error = of(Array2::from_elem((4, 4), 0.01)).unwrap_err();
        assert!(error.message.starts_with("no cell"), "{error}");
        assert!(Measure::new(array![[0.0, 0.0]]).is_err());
        assert!(Measure::new(array![[1.0, -0.5]]).is_err());
        assert!(Measure::new(array![[1.0, f64::NAN]]).is_err());
        assert!(Measure::new(array![[f64::MAX, f64::MAX]]).is_err());
    }
}
