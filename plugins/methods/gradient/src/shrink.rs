//! From a model's own input size to the working image.

use medfocus_plugin_api::{WORKING_SIDE, heat};
use ndarray::{Array2, ArrayView2};

/// A map of a model's input, (H, W), on the working image it was made of, (224, 224). What shrinks is averaged, each
/// pixel by the area in which they overlap, so that none is left out; what grows is interpolated.
pub(crate) fn to_working(map: ArrayView2<'_, f64>) -> Array2<f32> {
    let side = WORKING_SIDE as usize;
    let rows = averaging(map.nrows(), map.nrows().min(side));
    let columns = averaging(map.ncols(), map.ncols().min(side));
    let small = rows.dot(&map).dot(&columns.t());
    heat::upsample(small.mapv(|v| v as f32).view(), side, side)
}

/// How much of `from` cells each of `to` larger ones is made of: (to, from), rows that sum to 1.
fn averaging(from: usize, to: usize) -> Array2<f64> {
    let width = from as f64 / to as f64;
    Array2::from_shape_fn((to, from), |(large, cell)| {
        let start = (large as f64 * width).max(cell as f64);
        let end = ((large + 1) as f64 * width).min((cell + 1) as f64);
        (end - start).max(0.0) / width
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;
    use proptest::prelude::*;

    #[test]
    fn blocks_become_their_mean() {
        let map = Array2::from_shape_fn((448, 896), |(y, x)| ((y * 31 + x * 17) % 101) as f64);
        let working = to_working(map.view());
        for (y, x) in [(0, 0), (100, 7), (223, 223)] {
            let block = map.slice(ndarray::s![2 * y..2 * y + 2, 4 * x..4 * x + 4]);
            assert!((f64::from(working[(y, x)]) - block.mean().unwrap()).abs() < 1e-4);
        }
        // Three cells on two: half of the middle one in each.
        assert_eq!(
            averaging(3, 2),
            array![[2.0 / 3.0, 1.0 / 3.0, 0.0], [0.0, 1.0 / 3.0, 2.0 / 3.0]]
        );
    }

    #[test]
    fn the_working_size_is_left_alone_and_less_is_interpolated() {
        let map = Array2::from_shape_fn((224, 224), |(y, x)| (y * 224 + x) as f64);
        assert_eq!(to_working(map.view()), map.mapv(|v| v as f32));
        let small = array![[0.0, 1.0], [2.0, 5.0]];
        let expected = heat::upsample(small.mapv(|v| v as f32).view(), 224, 224);
        assert_eq!(to_working(small.view()), expected);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn shrinking_keeps_the_mean(height in 224usize..500, width in 224usize..500, at in (0usize..224, 0usize..224)) {
            let mut map = Array2::zeros((height, width));
            map[at] = 1000.0;
            let mean = to_working(map.view()).mapv(f64::from).mean().unwrap();
            let expected = 1000.0 / (height * width) as f64;
            prop_assert!((mean - expected).abs() < 1e-6 * expected);
        }
    }
}
