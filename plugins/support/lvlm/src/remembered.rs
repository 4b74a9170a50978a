//! Image features of the images seen last.
//!
//! The tower is most of the work on a large image, and what is asked of a sample (an answer, its log-probabilities, the
//! traces of several methods) is asked of one image; what is asked of its counterfactuals is asked of the same few images. In
//! a batch the last bits of an image's features can depend on its neighbours, so a batch is kept as a whole.

use std::cell::RefCell;
use std::collections::VecDeque;

use medfocus_plugin_api::GrayImage;
use medfocus_torch::tch::Tensor;

use crate::Result;

/// Single images whose features are kept: an original and a few that come between.
const MOST: usize = 8;

/// Features of the last images that went through the tower alone, and of the last batch.
#[derive(Debug, Default)]
pub(crate) struct Remembered {
    /// `[1, tokens, hidden]` of each, the one used longest ago first.
    singles: RefCell<VecDeque<(GrayImage, Tensor)>>,
    /// `[images, tokens, hidden]`.
    batch: RefCell<Option<(Vec<GrayImage>, Tensor)>>,
}

impl Remembered {
    /// The features of these images as a batch: those kept, or else what `run` makes of them. Nobody may write to them.
    pub fn of_batch(
        &self,
        images: &[&GrayImage],
        run: impl FnOnce() -> Result<Tensor>,
    ) -> Result<Tensor> {
        let mut kept = self.batch.borrow_mut();
        let known = kept.as_ref().filter(|(others, _)| {
            others.len() == images.len() && images.iter().zip(others).all(|(a, b)| same(a, b))
        });
        if let Some((_, features)) = known {
            return Ok(features.shallow_clone());
        }
        let features = run()?;
        let images = images.iter().map(|&image| image.clone()).collect();
        *kept = Some((images, features.shallow_clone()));
        Ok(features)
    }

    /// The features of this image: those kept, or else what `run` makes of it. Nobody may write to them.
    pub fn of(&self, image: &GrayImage, run: impl FnOnce() -> Result<Tensor>) -> Result<Tensor> {
        let mut kept = self.singles.borrow_mut();
        let known = kept.iter().position(|(other, _)| same(image, other));
        let entry = match known.and_then(|at| kept.remove(at)) {
            Some(entry) => entry,
            None => (image.clone(), run()?),
        };
        let features = entry.1.shallow_clone();
        kept.push_back(entry);
        if kept.len() > MOST {
            kept.pop_front();
        }
        Ok(features)
    }
}

fn same(a: &GrayImage, b: &GrayImage) -> bool {
    a.view().dim() == b.view().dim() && a.bytes() == b.bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use medfocus_torch::tch::Tensor;
    use ndarray::Array2;

    fn image(level: u8, dim: (usize, usize)) -> GrayImage {
        GrayImage::from_array(Array2::from_elem(dim, level)).unwrap()
    }

    /// Whether the tower runs for this image.
    fn runs(remembered: &Remembered, image: &GrayImage) -> bool {
        let mut ran = false;
        let level = i64::from(image.bytes()[0]);
        let features = remembered.of(image, || {
            ran = true;
            Ok(Tensor::from_slice(&[level]))
        });
        assert_eq!(features.unwrap().int64_value(&[0]), level);
        ran
    }

    #[test]
    fn an_image_runs_once_while_it_is_among_the_last() {
        let remembered = Remembered::default();
        let first = image(0, (2, 3));
        assert!(runs(&remembered, &first));
        assert!(!runs(&remembered, &first.clone()));
        assert!(runs(&remembered, &image(0, (3, 2))), "another shape");
        for level in 1..MOST as u8 - 1 {
            assert!(runs(&remembered, &image(level, (2, 3))));
            assert!(!runs(&remembered, &first), "it was just used");
        }
        for level in 100..100 + MOST as u8 {
            assert!(runs(&remembered, &image(level, (2, 3))));
        }
        assert!(runs(&remembered, &first), "it was pushed out");
    }

    #[test]
    fn the_last_batch_is_kept_as_it_was() {
        let remembered = Remembered::default();
        let [a, b, c] = [1, 2, 3].map(|level| image(level, (2, 2)));
        let runs = |images: &[&GrayImage]| {
            let mut ran = false;
            let features = remembered.of_batch(images, || {
                ran = true;
                Ok(Tensor::from_slice(&[images.len() as i64]))
            });
            assert_eq!(features.unwrap().int64_value(&[0]), images.len() as i64);
            ran
        };
        assert!(runs(&[&a, &b]));
        assert!(!runs(&[&a, &b]));
        assert!(runs(&[&b, &a]), "in another order");
        assert!(runs(&[&b, &a, &c]), "with another one");
        assert!(runs(&[&b, &a]), "it was pushed out");
    }

    #[test]
    fn what_failed_is_not_kept() {
        let remembered = Remembered::default();
        let image = image(1, (2, 2));
        let failed = remembered.of(&image, || Err(crate::Error::Cancelled));
        assert!(failed.is_err());
        assert!(runs(&remembered, &image));
    }
}
