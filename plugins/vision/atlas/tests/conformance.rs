//! Detector and segmenter keep what the suites of their kinds ask.

use medfocus_plugin_api::{NoParams, testkit::conformance};
use medfocus_vision_atlas::{AtlasDetector, AtlasParams, OtsuSegmenter};

#[test]
fn the_detector_conforms() {
    conformance::detector::<AtlasDetector>(AtlasParams::default()).assert();
}

#[test]
fn the_segmenter_conforms() {
    conformance::segmenter::<OtsuSegmenter>(NoParams::default()).assert();
}
