//! Boxes by their share of the image's area.

use medfocus_plugin_api::{BBox, Working};

/// Width and height of the box of the image's shape that has this share of its area, in whole pixels, at least one.
pub(crate) fn size(image: &BBox<Working>, share: f64) -> (u32, u32) {
    let side = |length: u32| {
        let scaled = f64::from(length) * share.sqrt();
        (scaled.round() as u32).clamp(1, length)
    };
    (side(image.width()), side(image.height()))
}
