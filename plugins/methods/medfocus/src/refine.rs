//! What a segmenter makes of the regions.

use medfocus_plugin_api::CONCEPTS;
use medfocus_plugin_api::{BBox, Error, GrayImage, Result, SegmentRequest, Segmenter, Working};
use serde_json::{Value, json};

use crate::region::Region;

/// What became of the segmenter's masks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refinement {
    /// Concepts whose region is the segmenter's mask.
    pub accepted: Vec<&'static str>,
    /// Concepts whose region stays, since the mask is empty or agrees too little with it.
    pub rejected: Vec<&'static str>,
}

impl Refinement {
    /// Replaces each region by the segmenter's mask of its box, cut to `content`, where the two agree: the intersection over
    /// union of their boxes is at least `agreement` (0 takes every mask that is not empty). The segmenter is asked once.
    ///
    /// # Errors
    ///
    /// The segmenter fails, or gives a mask of another size.
    pub fn of(
        regions: &mut [Option<Region>; CONCEPTS.len()],
        image: &GrayImage,
        content: &BBox<Working>,
        segmenter: &impl Segmenter,
        agreement: f64,
    ) -> Result<Self> {
        let mut refinement = Self::default();
        let found = CONCEPTS.iter().zip(regions);
        let found: Vec<_> = found
            .filter_map(|(name, region)| Some((*name, region.as_mut()?)))
            .collect();
        if found.is_empty() {
            return Ok(refinement);
        }
        let boxes: Vec<_> = found.iter().map(|(_, region)| region.bbox).collect();
        let masks = masks(image, content, segmenter, &boxes, agreement)?;
        for ((name, region), mask) in found.into_iter().zip(masks) {
            match mask {
                Some(mask) => {
                    *region = mask;
                    refinement.accepted.push(name);
                }
                None => refinement.rejected.push(name),
            }
        }
        Ok(refinement)
    }

    /// As it stands in the evidence: how many masks were taken, and of which concepts not.
    pub fn report(&self) -> Value {
        json!({"accepted": self.accepted.len(), "rejected": self.rejected})
    }
}

/// The segmenter's masks of boxes, cut to `content`, where the two agree: the intersection over union of a mask's box and the
/// box is at least `agreement`. The segmenter is asked once.
///
/// # Errors
///
/// [`Error::protocol`] if the segmenter does not answer with a mask of the image's size for each box, and whatever it fails
/// with.
pub fn masks(
    image: &GrayImage,
    content: &BBox<Working>,
    segmenter: &impl Segmenter,
    boxes: &[BBox<Working>],
    agreement: f64,
) -> Result<Vec<Option<Region>>> {
    let segments = segmenter.segment(&SegmentRequest::new(image.clone(), boxes.to_vec()))?;
    if segments.len() != boxes.len() {
        return Err(Error::protocol(format!(
            "the segmenter answered {} times to {} boxes",
            segments.len(),
            boxes.len()
        )));
    }
    let agreeing = segments.into_iter().zip(boxes).map(|(segment, bbox)| {
        let pixels = segment.mask.view();
        if pixels.dim() != image.view().dim() {
            return Err(Error::protocol(format!(
                "the segmenter's masks have {:?} pixels, the image {:?}",
                pixels.dim(),
                image.view().dim()
            )));
        }
        let mask = Region::within(pixels.mapv(|pixel| pixel != 0), content);
        Ok(mask.filter(|mask| overlap(&mask.bbox, bbox) >= agreement))
    });
    agreeing.collect()
}

/// Intersection over union.
fn overlap(a: &BBox<Working>, b: &BBox<Working>) -> f64 {
    let both = a.intersection(b).map_or(0, |both| both.area());
    both as f64 / (a.area() + b.area() - both) as f64
}
