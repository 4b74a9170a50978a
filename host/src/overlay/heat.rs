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
    strokes(
        picture.dimensions(),
        map,
        letterbox,
        |(x, y), over, share| {
            let pixel = picture.get_pixel_mut(x, y);
            *pixel = paint::mix(*pixel, over, share);
        },
    )
}

/// Each pixel (x, y) with heat of a picture of this size, with its colour and how strongly that covers the picture.
/// Returns the strongest heat.
pub fn strokes(
    size: (u32, u32),
    map: &HeatMap,
    letterbox: &Letterbox,
    mut stroke: impl FnMut((u32, u32), Rgb<u8>, f32),
) -> f32 {
    let peak = map.view().iter().copied().fold(0.0, f32::max);
    let shown = onto(size, map.view(), letterbox);
    let (true, Some(shown)) = (peak > 0.0, shown) else {
        return 0.0;
    };
    for ((y, x), &value) in shown.indexed_iter() {
        if value > 0.0 {
            let level = value / peak;
            stroke((x as u32, y as u32), colour(level), MAX_SHARE * level);
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
