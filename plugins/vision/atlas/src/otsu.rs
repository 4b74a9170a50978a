//! Refines boxes by grey levels.

use std::cmp::Reverse;

use medfocus_attribution::parts;
use medfocus_plugin_api::{
    BBox, Component, Context, GrayImage, Mask, NoParams, Result, Segment, SegmentRequest,
    Segmenter, Working,
};
use ndarray::{Array2, ArrayView2, s};

use crate::threshold::split;

/// A classical segmenter in place of a learned one.
///
/// It KNOWS NO ANATOMY: inside each box it divides the pixels into dark and bright by Otsu's threshold, takes the class
/// that covers more of the box's middle (half its width and half its height; bright if equal), and returns that class's
/// largest 8-connected component (the first in reading order of several). The confidence is the separability of the two
/// classes, which tells a clear edge from none and not a right region from a wrong one. A box whose pixels are all
/// equal, or that lies outside the image, has an empty mask of confidence 0.
#[derive(Clone, Copy, Debug)]
pub struct OtsuSegmenter;

impl Component for OtsuSegmenter {
    const NAME: &'static str = "otsu";
    const SUMMARY: &'static str = "Stand-in for a segmenter: Otsu's threshold inside the box (Otsu 1979), largest connected component; knows no anatomy.";
    type Params = NoParams;

    fn new(_: NoParams, _: Context) -> Result<Self> {
        Ok(Self)
    }
}

impl Segmenter for OtsuSegmenter {
    fn segment(&self, request: &SegmentRequest) -> Result<Vec<Segment>> {
        let boxes = request.boxes.iter();
        boxes.map(|bbox| segment(&request.image, bbox)).collect()
    }
}

fn segment(image: &GrayImage, bbox: &BBox<Working>) -> Result<Segment> {
    let mut region = Array2::from_elem(image.view().dim(), false);
    let mut confidence = 0.0;
    if let Some(bbox) = bbox.clip(image.width(), image.height()) {
        let [x1, y1, x2, y2] = bbox.corners().map(|c| c as usize);
        let pixels = image.view().slice_move(s![y1..y2, x1..x2]);
        if let Some(split) = split(pixels.iter().copied()) {
            confidence = split.separability;
            let bright = pixels.mapv(|pixel| pixel > split.threshold);
            let wanted = mostly(middle(bright.view()));
            let class = bright.mapv(|bright| bright == wanted);
            let largest = parts(class.view())
                .into_iter()
                .min_by_key(|part| Reverse(part.pixels.len()));
            for (row, column) in largest.into_iter().flat_map(|part| part.pixels) {
                region[(y1 + row, x1 + column)] = true;
            }
        }
    }
    Ok(Segment::new(Mask::from_array(region.view())?, confidence))
}

/// The middle half along each axis, at least a pixel.
fn middle<'a>(pixels: ArrayView2<'a, bool>) -> ArrayView2<'a, bool> {
    let (height, width) = pixels.dim();
    let (y, x) = (height / 4, width / 4);
    pixels.slice_move(s![y..height - y, x..width - x])
}

/// Whether at least half of the pixels are set.
fn mostly(pixels: ArrayView2<'_, bool>) -> bool {
    2 * pixels.iter().filter(|&&pixel| pixel).count() >= pixels.len()
}
