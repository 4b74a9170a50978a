//! The heat map over the X-ray.

use std::sync::LazyLock;

use image::{Rgb, RgbImage};
use medfocus_plugin_api::{HeatMap, Letterbox};

use super::{onto, paint};

/// The anatomy stays visible under the strongest heat.
const MAX_SHARE: f32 = 0.55;

/// Blends the map over the picture, more strongly the more heat; where there is none, pixels stay
/// as they are. Returns the strongest heat, which has the top colour.
pub fn blend(picture: &mut RgbImage, map: &HeatMap, letterbox: &Letterbox) -> f32 {
    let peak = map.view().iter().copied().fold(0.0, f32::max);
    let shown = onto(picture, map.view(), letterbox);
    let (true, Some(shown)) = (peak > 0.0, shown) else {
        return 0.0;
    };
    for (pixel, &value) in picture.pixels_mut().zip(&shown) {
        if value > 0.0 {
            let level = value / peak;
            *pixel = paint::mix(*pixel, colour(level), MAX_SHARE * level);
        }
    }
    peak
}

/// The colour of a share of the strongest heat, 0 to 1: blue over red to yellow, in steps that look
/// equally large.
pub fn colour(level: f32) -> Rgb<u8> {
    // A spline a pixel would take seconds on a large picture.
    static STEPS: LazyLock<[Rgb<u8>; 256]> = LazyLock::new(|| {
        std::array::from_fn(|i| Rgb(colorous::PLASMA.eval_rational(i, 256).as_array()))
    });
    STEPS[(level.clamp(0.0, 1.0) * 255.0).round() as usize]
}
