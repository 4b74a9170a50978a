//! The rank Gaussian filter (Li et al., ICCV 2025): a median that leans on its neighbours in rank as far as the values agree.

use ndarray::{Array2, ArrayView2};

/// Values of the window, 3 x 3.
const WINDOW: usize = 9;

/// Each value of a grid, none negative, replaced by a mean over the sorted values of the 3 x 3 window around it, the grid
/// reflected at its edges (the edge itself not repeated). With mu and sd the window's mean and standard deviation, the
/// value of rank r, counted from the middle one, weighs exp(-r^2 / (2 (sd / mu)^2)).
///
/// A window of zeros gives 0, one of equal values these.
pub fn rank_gaussian(grid: ArrayView2<'_, f64>) -> Array2<f64> {
    let (height, width) = grid.dim();
    Array2::from_shape_fn((height, width), |(y, x)| {
        let mut values = [0.0; WINDOW];
        for (i, value) in values.iter_mut().enumerate() {
            *value = grid[(reflected(y, i / 3, height), reflected(x, i % 3, width))];
        }
        values.sort_by(f64::total_cmp);
        ranked(&values)
    })
}

/// The place `step` - 1 after `at` among `count`, reflected at the ends.
fn reflected(at: usize, step: usize, count: usize) -> usize {
    let last = count - 1;
    let place = (at + step).abs_diff(1);
    if place > last {
        last.saturating_sub(1)
    } else {
        place
    }
}

/// The filter's value of a sorted window.
fn ranked(sorted: &[f64; WINDOW]) -> f64 {
    let count = WINDOW as f64;
    let mean = sorted.iter().sum::<f64>() / count;
    let variance = sorted.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / count;
    if mean <= 0.0 {
        return 0.0;
    }
    let spread = variance / mean.powi(2);
    if spread == 0.0 {
        return sorted[WINDOW / 2];
    }
    let weight = |i: usize| (-(i as f64 - (WINDOW / 2) as f64).powi(2) / (2.0 * spread)).exp();
    let total: f64 = (0..WINDOW).map(weight).sum();
    let weighted = sorted.iter().enumerate().map(|(i, v)| weight(i) * v);
    weighted.sum::<f64>() / total
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn edges_are_reflected_without_themselves() {
        let places = |at, count| [0, 1, 2].map(|step| reflected(at, step, count));
        assert_eq!(places(0, 4), [1, 0, 1]);
        assert_eq!(places(2, 4), [1, 2, 3]);
        assert_eq!(places(3, 4), [2, 3, 2]);
        assert_eq!(places(0, 1), [0, 0, 0]);
        assert_eq!(places(1, 2), [0, 1, 0]);
    }

    #[test]
    fn a_lone_spike_is_taken_out_and_a_plane_stays() {
        let mut spike = Array2::from_elem((5, 5), 0.5);
        spike[(2, 2)] = 0.6;
        // sd / mean is small, so only the middle rank counts.
        let filtered = rank_gaussian(spike.view());
        assert!(filtered.iter().all(|v| (v - 0.5).abs() < 1e-9));
        let plane = Array2::from_elem((3, 2), 0.25);
        assert_eq!(rank_gaussian(plane.view()), plane);
        let nothing = Array2::<f64>::zeros((2, 2));
        assert_eq!(rank_gaussian(nothing.view()), nothing);
    }

    /// Worked out by hand: mean 1, variance 8, so the weights are exp(-r^2 / 16).
    #[test]
    fn a_wide_window_is_a_weighted_mean_over_ranks() {
        let grid = array![[0., 0., 0.], [0., 9., 0.], [0., 0., 0.]];
        let weights: Vec<f64> = (-4..=4).map(|r| (-f64::from(r * r) / 16.0).exp()).collect();
        let expected = 9.0 * weights[8] / weights.iter().sum::<f64>();
        assert!((rank_gaussian(grid.view())[(1, 1)] - expected).abs() < 1e-12);
    }

    #[test]
    fn the_filter_follows_the_scale_not_a_shift() {
        let grid = array![[0.1, 0.7, 0.3], [0.9, 0.2, 0.5], [0.4, 0.8, 0.6]];
        let filtered = rank_gaussian(grid.view());
        let scaled = rank_gaussian((&grid * 8.0).view());
        assert!((&scaled - &filtered * 8.0).iter().all(|d| d.abs() < 1e-12));
        let shifted = rank_gaussian((&grid + 1.0).view());
        assert!((shifted - 1.0 - filtered).iter().any(|d| d.abs() > 1e-3));
    }
}
