//! Segmenters.

use serde::{Deserialize, Serialize};

use super::{Client, answer, unknown};
use crate::{
    error::Result,
    frame::{BBox, Working},
    image::{GrayImage, Mask},
    manifest::Kind,
    message::Message,
};

/// Refines boxes to regions.
pub trait Segmenter: Send + Sync {
    /// The region that each box means.
    fn segment(&self, request: &SegmentRequest) -> Result<Vec<Segment>>;
}

/// Boxes on one image, which is encoded once.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SegmentRequest {
    /// The working image.
    pub image: GrayImage,
    /// One prompt a region.
    pub boxes: Vec<BBox<Working>>,
}

/// A region.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Segment {
    /// Pixels of the working image; possibly none.
    pub mask: Mask,
    /// The segmenter's own estimate of its quality, about 0 to 1.
    pub confidence: f64,
}

impl SegmentRequest {
    /// A region for each box.
    pub fn new(image: GrayImage, boxes: Vec<BBox<Working>>) -> Self {
        Self { image, boxes }
    }
}

impl Segment {
    /// A region of that quality.
    pub fn new(mask: Mask, confidence: f64) -> Self {
        Self { mask, confidence }
    }
}

/// Operation of [`Segmenter::segment`].
pub const SEGMENT: &str = "segment";

/// What these components are.
pub const KIND: Kind = Kind::Segmenter;

/// Performs an operation of a segmenter.
pub fn serve(segmenter: &dyn Segmenter, op: &str, message: Message) -> Result<Message> {
    match op {
        SEGMENT => answer(message, |request: SegmentRequest| {
            segmenter.segment(&request)
        }),
        _ => Err(unknown(op)),
    }
}

impl Segmenter for Client {
    fn segment(&self, request: &SegmentRequest) -> Result<Vec<Segment>> {
        self.ask(SEGMENT, request)
    }
}
