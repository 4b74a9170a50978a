//! Quantiles of the cost over all pairs of cells, without the pairs.

use ndarray::{Array2, ArrayView2};

/// The quantile, 0 to 1, of the squared distance between a cell of one region and a cell of the other, over all pairs;
/// between two values linear, as `numpy.percentile`. Nothing if a region is empty.
///
/// The number of pairs at each displacement is the cross-correlation of the two regions. Along a row a region changes
/// only at a few edges, so the edges are correlated, and the result summed twice gives back the regions': exact, and
/// as many steps as there are pairs of edges.
///
/// # Panics
///
/// If the regions differ in shape.
pub fn cost_percentile(
    from: ArrayView2<'_, bool>,
    to: ArrayView2<'_, bool>,
    quantile: f64,
) -> Option<f64> {
    assert_eq!(from.dim(), to.dim(), "both regions lie on one grid");
    let counts = squared_distances(&displacements(from, to));
    let pairs: u64 = counts.iter().sum();
    let place = quantile.clamp(0.0, 1.0) * pairs.checked_sub(1)? as f64;
    let (low, share) = (place as u64, place.fract());
    let low_value = value_at(&counts, low)?;
    let high_value = value_at(&counts, (low + 1).min(pairs - 1))?;
    Some(low_value + share * (high_value - low_value))
}

/// Pairs at each displacement: row |dy|, column dx + columns.
fn displacements(from: ArrayView2<'_, bool>, to: ArrayView2<'_, bool>) -> Array2<i64> {
    let (rows, columns) = from.dim();
    let (from, to) = (edges(from), edges(to));
    let mut counts = Array2::<i64>::zeros((rows, 2 * columns + 1));
    for (y, starts) in from.iter().enumerate() {
        for (row, ends) in to.iter().enumerate() {
            let mut pairs = counts.row_mut(y.abs_diff(row));
            for &(x, sign) in starts {
                for &(column, other) in ends {
                    pairs[column + columns - x] += sign * other;
                }
            }
        }
    }
    // The edges' correlation at d is -(c(d + 1) - 2 c(d) + c(d - 1)).
    for mut row in counts.rows_mut() {
        let (mut before, mut here) = (0, 0);
        for pairs in &mut row {
            let next = 2 * here - before - *pairs;
            (before, here) = (here, next);
            *pairs = before;
        }
    }
    counts
}

/// For each row where the region begins (+1) and where it has ended (-1).
fn edges(region: ArrayView2<'_, bool>) -> Vec<Vec<(usize, i64)>> {
    let of_row = |row: ndarray::ArrayView1<'_, bool>| {
        let mut inside = false;
        let ended = std::iter::once(false);
        let mut edges = Vec::new();
        for (x, here) in row.iter().copied().chain(ended).enumerate() {
            if here != inside {
                edges.push((x, if here { 1 } else { -1 }));
            }
            inside = here;
        }
        edges
    };
    region.rows().into_iter().map(of_row).collect()
}

/// Pairs at each squared distance.
fn squared_distances(displacements: &Array2<i64>) -> Vec<u64> {
    let (rows, width) = displacements.dim();
    let columns = width / 2;
    let mut counts = vec![0; rows.saturating_sub(1).pow(2) + columns.pow(2) + 1];
    for ((dy, x), &pairs) in displacements.indexed_iter() {
        counts[dy.pow(2) + x.abs_diff(columns).pow(2)] += pairs as u64;
    }
    counts
}

/// The value at a place of the sorted list that holds each index as often as it counts.
fn value_at(counts: &[u64], place: u64) -> Option<f64> {
    let mut below = 0;
    let value = counts.iter().position(|&count| {
        below += count;
        below > place
    })?;
    Some(value as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn every_pair(from: &Array2<bool>, to: &Array2<bool>) -> Vec<f64> {
        let cells = |region: &Array2<bool>| -> Vec<(i64, i64)> {
            let inside = region.indexed_iter().filter(|(_, inside)| **inside);
            inside.map(|((y, x), _)| (y as i64, x as i64)).collect()
        };
        let mut all = Vec::new();
        for (y, x) in cells(from) {
            for (row, column) in cells(to) {
                all.push(((y - row).pow(2) + (x - column).pow(2)) as f64);
            }
        }
        all.sort_by(f64::total_cmp);
        all
    }

    fn regions() -> impl Strategy<Value = (Array2<bool>, Array2<bool>)> {
        (1usize..8, 1usize..9).prop_flat_map(|(rows, columns)| {
            let region = move || {
                proptest::collection::vec(any::<bool>(), rows * columns)
                    .prop_map(move |cells| Array2::from_shape_vec((rows, columns), cells).unwrap())
            };
            (region(), region())
        })
    }

    proptest! {
        #[test]
        fn the_quantile_is_that_of_all_pairs((from, to) in regions(), quantile in 0.0f64..=1.0) {
            let all = every_pair(&from, &to);
            let found = cost_percentile(from.view(), to.view(), quantile);
            if all.is_empty() {
                prop_assert_eq!(found, None);
            } else {
                let place = quantile * (all.len() - 1) as f64;
                let (low, high) = (all[place.floor() as usize], all[place.ceil() as usize]);
                let expected = low + place.fract() * (high - low);
                prop_assert!((found.unwrap() - expected).abs() < 1e-12, "{:?} {}", found, expected);
            }
        }
    }

    #[test]
    fn numpy_agrees() {
        // numpy.percentile([0, 0, 1, 1], 90) = 1; ([0, 1, 1, 4], 90) = 3.1.
        let pair = ndarray::array![[true, true]];
        assert_eq!(cost_percentile(pair.view(), pair.view(), 0.9), Some(1.0));
        let apart = ndarray::array![[true, false, true]];
        let near = ndarray::array![[true, true, false]];
        // Distances 0, 1, 2, 1.
        let found = cost_percentile(apart.view(), near.view(), 0.9).unwrap();
        assert!((found - 3.1).abs() < 1e-12, "{found}");
    }

    #[test]
    fn a_full_grid_of_the_largest_size_is_counted_whole() {
        let full = Array2::from_elem((224, 224), true);
        let counts = squared_distances(&displacements(full.view(), full.view()));
        assert_eq!(counts.iter().sum::<u64>(), 224u64.pow(4));
        assert_eq!(counts[0], 224 * 224);
        assert_eq!(counts[2 * 223 * 223], 4, "opposite corners");
    }
}
