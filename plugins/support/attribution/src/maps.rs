//! Maps of the working image as results carry them.

use medfocus_plugin_api::{Error, HeatMap, Result, Tensor, WORKING_SIDE, heat};
use ndarray::{Array2, Array3};

/// The min-max normalised map of these values (224 x 224); a constant map becomes zeros.
///
/// # Errors
///
/// [`Error::invalid`] if the shape is another or a value is not finite.
pub fn normalised(mut values: Array2<f32>) -> Result<HeatMap> {
    heat::normalise(&mut values);
    HeatMap::from_array(values)
}

/// The maps of an answer's `count` tokens as one tensor: (T, 224, 224), f32.
///
/// # Errors
///
/// Whatever making a map fails with, and [`Error::protocol`] if there is no token: an answer has some.
pub fn token_heat(count: usize, mut map: impl FnMut(usize) -> Result<HeatMap>) -> Result<Tensor> {
    if count == 0 {
        return Err(Error::protocol(
            "the model says that the answer has no tokens",
        ));
    }
    let side = WORKING_SIDE as usize;
    let mut maps = Array3::zeros((count, side, side));
    for (t, mut place) in maps.outer_iter_mut().enumerate() {
        place.assign(&map(t)?.view());
    }
    Ok(Tensor::from_array(maps))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Ix3, s};

    const SIDE: usize = WORKING_SIDE as usize;

    #[test]
    fn maps_are_stacked_in_order() {
        let ramp = Array2::from_shape_fn((SIDE, SIDE), |(y, x)| (3 * y + x) as f32 - 7.0);
        let ramp = normalised(ramp).unwrap();
        assert_eq!((ramp.view()[(0, 0)], ramp.view()[(223, 223)]), (0.0, 1.0));
        let flat = normalised(Array2::from_elem((SIDE, SIDE), 0.3)).unwrap();
        assert!(flat.is_zero());

        let maps = [flat, ramp.clone()];
        let stacked = token_heat(2, |t| Ok(maps[t].clone())).unwrap();
        let stacked = stacked.view_nd::<f32, Ix3>().unwrap();
        assert_eq!(stacked.dim(), (2, SIDE, SIDE));
        assert!(stacked.slice(s![0, .., ..]).iter().all(|&v| v == 0.0));
        assert_eq!(stacked.slice(s![1, .., ..]), ramp.view());
        assert!(token_heat(0, |_| Ok(ramp.clone())).is_err());
        assert!(token_heat(1, |_| Err(Error::cancelled())).is_err());
    }
}
