//! A dataset, an editor, a segmenter and a detector with closed-form answers.

use ndarray::Array2;

use crate::{
    error::{Error, Result},
    frame::BBox,
    image::{GrayImage, Mask},
    protocol::{
        dataset::{DatasetInfo, DatasetReader, Sample, SampleKey},
        detector::{DetectRequest, Detector},
        editor::{CounterfactualEditor, EditRequest},
        method::ScoredBox,
        segmenter::{Segment, SegmentRequest, Segmenter},
    },
};

/// Dark images of 64 x 48 pixels, asked about a bright spot. In every other one, from the first on, there is one of 8 x 8
/// pixels whose place depends on the number. The masks `right lung` and `left lung` are the left and the right half.
#[derive(Clone, Debug)]
pub struct ToyDataset {
    /// Samples.
    pub len: u64,
}

impl Default for ToyDataset {
    fn default() -> Self {
        Self { len: 4 }
    }
}

impl DatasetReader for ToyDataset {
    fn info(&self) -> Result<DatasetInfo> {
        Ok(DatasetInfo::new(
            "toy",
            self.len,
            format!("toy:{}", self.len),
        ))
    }

    fn sample(&self, index: u64) -> Result<Sample> {
        if index >= self.len {
            return Err(Error::invalid(format!(
                "the toy dataset has {} samples, there is no sample {index}",
                self.len
            )));
        }
        let present = index.is_multiple_of(2);
        let corner = (8 * (index % 4)) as u32;
        let spot = BBox::new(corner, corner, corner + 8, corner + 8)?;
        let dark = GrayImage::from_array(Array2::from_elem((48, 64), 20))?;
        let image = if present {
            dark.with_filled(&spot, 220)
        } else {
            dark
        };
        let key = SampleKey {
            dataset: "toy".to_owned(),
            index,
        };
        let question = "Is there evidence of a bright spot in the image?";
        let mut sample = Sample::new(key, image, "bright spot", question);
        sample.present = Some(present);
        sample.boxes = Vec::from_iter(present.then_some(spot));
        sample.patient = Some(format!("toy-{index}"));
        for (name, left) in [("right lung", true), ("left lung", false)] {
            let half = Array2::from_shape_fn((48, 64), |(_, x)| (x < 32) == left);
            sample
                .masks
                .insert(name.to_owned(), Mask::from_array(half)?);
        }
        Ok(sample)
    }
}

/// Blackens what is to be edited.
#[derive(Clone, Copy, Debug)]
pub struct ToyEditor;

impl CounterfactualEditor for ToyEditor {
    fn edit(&self, request: &EditRequest) -> Result<GrayImage> {
        let mut pixels = request.image.view().to_owned();
        pixels.zip_mut_with(&request.edited()?, |pixel, &edited| {
            if edited {
                *pixel = 0;
            }
        });
        GrayImage::from_array(pixels)
    }
}

/// Takes each box for the region, with confidence 1.
#[derive(Clone, Copy, Debug)]
pub struct ToySegmenter;

impl Segmenter for ToySegmenter {
    fn segment(&self, request: &SegmentRequest) -> Result<Vec<Segment>> {
        let size = request.image.view().dim();
        let regions = request.boxes.iter().map(|bbox| {
            let inside = |(y, x)| bbox.contains(x as u32, y as u32);
            Ok(Segment::new(
                Mask::from_array(Array2::from_shape_fn(size, inside))?,
                1.0,
            ))
        });
        regions.collect()
    }
}

/// Finds every phrase in the middle half of the image's sides, with score 0.5.
#[derive(Clone, Copy, Debug)]
pub struct ToyDetector;

impl Detector for ToyDetector {
    fn detect(&self, request: &DetectRequest) -> Result<Vec<Vec<ScoredBox>>> {
        let (w, h) = (request.image.width(), request.image.height());
        let bbox = BBox::new(w / 4, h / 4, (3 * w).div_ceil(4), (3 * h).div_ceil(4))?;
        let found = request.limit > 0 && request.threshold <= 0.5;
        let phrases = request.phrases.iter().map(|phrase| {
            let label = Some(phrase.clone());
            let spot = ScoredBox {
                bbox,
                score: 0.5,
                label,
            };
            Vec::from_iter(found.then_some(spot))
        });
        Ok(phrases.collect())
    }
}
