//! Images of a request without their repetitions.

use std::collections::HashMap;

use medfocus_plugin_api::GrayImage;

/// Each different image of one size once; where half of an image is black, many of its masked copies are the same.
pub(crate) struct Different<'a> {
    pub images: Vec<&'a GrayImage>,
    /// Which of them each image is.
    pub places: Vec<i64>,
}

impl<'a> Different<'a> {
    /// Those of each run of images of one size, which make sequences of one length.
    pub fn by_size(all: &'a [GrayImage]) -> Vec<Self> {
        let sizes = all.chunk_by(|a, b| a.view().dim() == b.view().dim());
        sizes.map(Self::of).collect()
    }

    fn of(all: &'a [GrayImage]) -> Self {
        let (mut images, mut known) = (Vec::new(), HashMap::new());
        let places = all.iter().map(|image| {
            *known.entry(image.bytes()).or_insert_with(|| {
                images.push(image);
                images.len() as i64 - 1
            })
        });
        Self {
            places: places.collect(),
            images,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    #[test]
    fn equal_images_are_run_once() {
        let levels = [3, 7, 3, 3, 9, 7];
        let all =
            levels.map(|level| GrayImage::from_array(Array2::from_elem((2, 2), level)).unwrap());
        let Different { images, places } = Different::of(&all);
        assert_eq!(places, [0, 1, 0, 0, 2, 1]);
        let found: Vec<u8> = images.iter().map(|image| image.bytes()[0]).collect();
        assert_eq!(found, [3, 7, 9]);
    }
}
