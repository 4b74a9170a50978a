//! A detector and a segmenter without weights: they let methods that need one run where no learned one is installed.
//!
//! Neither has learned anything. Results with them say nothing about a method with OWL-ViT or MedSAM in their place.
mod atlas;
mod otsu;
mod threshold;
mod vocabulary;

pub use atlas::{AtlasDetector, AtlasParams};
pub use otsu::OtsuSegmenter;
pub use threshold::{Split, split};
pub use vocabulary::members;

medfocus_plugin_api::export_plugin! {
    detector AtlasDetector;
    segmenter OtsuSegmenter;
}
