//! The image as it would be if the patient were healthy.

use medfocus_plugin_api::{BBox, GrayImage, Result, Working};
use ndarray::Array2;

use crate::{localise::Match, pool::Pool, reference::Features};

/// The mean of the first `count` references, each moved to lie on the image, with the image's mean and standard deviation
/// inside `content`.
///
/// # Errors
///
/// None for an image that has pixels.
pub fn healthy(
    image: &GrayImage,
    features: &Features,
    content: &BBox<Working>,
    pool: &Pool,
    ranking: &[Match],
    count: usize,
) -> Result<GrayImage> {
    let mut sum = Array2::<f64>::zeros(image.view().dim());
    for chosen in ranking.iter().take(count) {
        let reference = &pool.references[chosen.reference];
        let (from, to) = (&reference.features.contrast, &features.contrast);
        let warp = chosen.alignment.bend(from, to).warp();
        sum += &warp.pull(reference.image.view()).mapv(f64::from);
    }
    let (mean, spread) = moments(&image.view().mapv(f64::from), content);
    let (its_mean, its_spread) = moments(&sum, content);
    let gain = if its_spread > 0.0 {
        spread / its_spread
    } else {
        0.0
    };
    GrayImage::from_array(
        sum.mapv(|v| ((v - its_mean) * gain + mean).round().clamp(0.0, 255.0) as u8),
    )
}

/// Mean and standard deviation inside a box.
fn moments(values: &Array2<f64>, inside: &BBox<Working>) -> (f64, f64) {
    let [x1, y1, x2, y2] = inside.corners().map(|c| c as usize);
    let inside = values.slice(ndarray::s![y1..y2, x1..x2]);
    (inside.mean().unwrap_or_default(), inside.std(0.0))
}
