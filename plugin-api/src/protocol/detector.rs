//! Open-vocabulary detectors.

use serde::{Deserialize, Serialize};

use super::{Client, answer, unknown};
use crate::{
    error::Result, image::GrayImage, manifest::Kind, message::Message, protocol::method::ScoredBox,
};

/// Finds what a phrase describes.
pub trait Detector: Send + Sync {
    /// Boxes for each phrase, strongest first, labelled with it.
    fn detect(&self, request: &DetectRequest) -> Result<Vec<Vec<ScoredBox>>>;
}

/// Phrases to find in one image.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DetectRequest {
    /// The working image.
    pub image: GrayImage,
    /// One search each.
    pub phrases: Vec<String>,
    /// Boxes scoring less are left out.
    pub threshold: f64,
    /// At most this many boxes a phrase.
    pub limit: u32,
}

impl DetectRequest {
    /// A search for each phrase.
    pub fn new(image: GrayImage, phrases: Vec<String>, threshold: f64, limit: u32) -> Self {
        Self {
            image,
            phrases,
            threshold,
            limit,
        }
    }
}

/// Operation of [`Detector::detect`].
pub const DETECT: &str = "detect";

/// What these components are.
pub const KIND: Kind = Kind::Detector;

/// Performs an operation of a detector.
pub fn serve(detector: &dyn Detector, op: &str, message: Message) -> Result<Message> {
    match op {
        DETECT => answer(message, |request: DetectRequest| detector.detect(&request)),
        _ => Err(unknown(op)),
    }
}

impl Detector for Client {
    fn detect(&self, request: &DetectRequest) -> Result<Vec<Vec<ScoredBox>>> {
        self.ask(DETECT, request)
    }
}
