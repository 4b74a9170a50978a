//! The image as it would be if the patient were healthy, and where it departs from that.

use medfocus_plugin_api::{BBox, GrayImage, Result, Working};
use ndarray::{Array2, Zip};

use crate::{
    localise::Match,
    pool::Pool,
    reference::Features,
    transport::{gauss, smooth},
};

/// Standard deviation of the mean that noise is taken out by, in pixels.
const REACH: f64 = 1.5;

/// What a healthy pixel varies by at least, in grey levels.
const NOISE: f64 = 6.0;

/// What the references say of an image.
pub struct Healthy {
    /// The same patient in health.
    pub image: GrayImage,
    /// By how many standard deviations of the references each pixel's neighbourhood is brighter than in health.
    pub departure: Array2<f64>,
}

impl Healthy {
    /// From the first `count` references of a ranking, each moved to lie on the image and brought to its mean and standard
    /// deviation inside `content`.
    ///
    /// # Errors
    ///
    /// None for an image that has pixels.
    pub fn of(
        image: &GrayImage,
        features: &Features,
        content: &BBox<Working>,
        pool: &Pool,
        ranking: &[Match],
        count: usize,
    ) -> Result<Self> {
        let pixels = image.view().mapv(f64::from);
        let (level, contrast) = moments(&pixels, content);
        let (mut sum, mut squares) = (pixels.clone() * 0.0, pixels.clone() * 0.0);
        let voters = ranking.iter().take(count);
        let voices = voters.len() as f64;
        for chosen in voters {
            let reference = &pool.references[chosen.reference];
            let (from, to) = (&reference.features.contrast, &features.contrast);
            let warp = chosen.alignment.bend(from, to).warp();
            let there = warp.pull(reference.image.view()).mapv(f64::from);
            let (its_level, its_contrast) = moments(&there, content);
            let gain = if its_contrast > 0.0 {
                contrast / its_contrast
            } else {
                0.0
            };
            let there = there.mapv(|v| (v - its_level) * gain + level);
            squares += &(&there * &there);
            sum += &there;
        }
        let mean = sum / voices;
        let variance = squares / voices - &mean * &mean;
        let near = gauss(pixels.nrows(), REACH);
        let departure = Zip::from(&smooth(&near, (pixels - &mean).view()))
            .and(&smooth(&near, variance.view()))
            .map_collect(|by, variance| by / (variance.max(0.0) + NOISE * NOISE).sqrt());
        Ok(Self {
            image: GrayImage::from_array(mean.mapv(|v| v.round().clamp(0.0, 255.0) as u8))?,
            departure,
        })
    }
}

/// Mean and standard deviation inside a box.
fn moments(values: &Array2<f64>, inside: &BBox<Working>) -> (f64, f64) {
    let [x1, y1, x2, y2] = inside.corners().map(|c| c as usize);
    let inside = values.slice(ndarray::s![y1..y2, x1..x2]);
    (inside.mean().unwrap_or_default(), inside.std(0.0))
}
