//! Grey levels on a common scale.

use medfocus_plugin_api::{Error, GrayImage, Result, choices};
use ndarray::Array2;

choices! {
    /// What is made of grey levels before images are compared.
    pub enum Intensity {
        /// The image's own minimum and maximum become 0 and 1, as in the published code.
        Range = "range",
        /// After that the histogram is equalised: a level above `threshold` becomes the share of the pixels above
        /// `threshold` that are darker, half of its equals counted; the others become 0. Exposure, windows and tone
        /// curves do not matter then, nor does how much of the image is black.
        Equalised = "equalised",
    }
}

impl Intensity {
    /// An image in 0 to 1.
    ///
    /// # Errors
    ///
    /// [`Error::invalid`] if all pixels are equal.
    pub fn of(self, image: &GrayImage, threshold: f64) -> Result<Array2<f64>> {
        let pixels = image.view();
        let low = pixels.iter().copied().min().unwrap_or_default();
        let high = pixels.iter().copied().max().unwrap_or_default();
        if low == high {
            return Err(Error::invalid(format!(
                "every pixel of the image has grey level {low}: there is no anatomy to match"
            )));
        }
        let scaled = |level: u8| f64::from(level.saturating_sub(low)) / f64::from(high - low);
        let mut levels: [f64; 256] = std::array::from_fn(|level| scaled(level as u8));
        if self == Self::Equalised {
            let mut counts = [0u32; 256];
            for &pixel in pixels {
                counts[usize::from(pixel)] += 1;
            }
            let bright = levels.partition_point(|&level| level <= threshold);
            let all: u32 = counts[bright..].iter().sum();
            let mut darker = 0;
            levels[..bright].fill(0.0);
            for (level, count) in levels[bright..].iter_mut().zip(&counts[bright..]) {
                // The brightest is above the threshold, so there are some.
                *level = f64::from(2 * darker + count) / f64::from(2 * all);
                darker += count;
            }
        }
        Ok(pixels.mapv(|pixel| levels[usize::from(pixel)]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;
    use proptest::prelude::*;

    fn image(pixels: Array2<u8>) -> GrayImage {
        GrayImage::from_array(pixels).unwrap()
    }

    #[test]
    fn levels_are_shares_of_darker_pixels() {
        let pixels = image(array![[10, 10, 12], [60, 60, 210], [110, 60, 10]]);
        let range = Intensity::Range.of(&pixels, 0.02).unwrap();
        assert_eq!(range[(1, 0)], 0.25);
        let equalised = Intensity::Equalised.of(&pixels, 0.02).unwrap();
        let expected = array![[0.0, 0.0, 0.0], [0.3, 0.3, 0.9], [0.7, 0.3, 0.0]];
        assert!((equalised - expected).iter().all(|d| d.abs() < 1e-12));
        for intensity in [Intensity::Range, Intensity::Equalised] {
            let error = intensity.of(&image(array![[7, 7]]), 0.02).unwrap_err();
            assert!(error.message.contains("grey level 7"), "{error}");
        }
    }

    proptest! {
        /// Any tone curve that keeps the order of the levels leaves the equalised image as it is.
        #[test]
        fn a_tone_curve_does_not_matter(
            seeds in proptest::collection::vec(0u8..12, 30),
            steps in proptest::collection::vec(1u8..20, 12),
        ) {
            let curve: Vec<u8> = steps.iter().scan(0, |sum, step| { *sum += step; Some(*sum) }).collect();
            let plain = Array2::from_shape_vec((5, 6), seeds).unwrap();
            prop_assume!(plain.iter().any(|&p| p != plain[(0, 0)]));
            let curved = plain.mapv(|level| curve[usize::from(level)]);
            let of = |pixels| Intensity::Equalised.of(&image(pixels), 0.0).unwrap();
            prop_assert_eq!(of(plain), of(curved));
        }
    }
}
