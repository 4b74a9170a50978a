//! What lies over the X-ray, apart from it: a page shows or hides each layer.

use image::{Rgb, Rgba, RgbaImage};
use medfocus_plugin_api::{HeatMap, Letterbox, Mask};

use super::{drawn_size, heat as map, line, paint, region as area};

/// The heat as [`render`](super::render) draws it, in the size of its X-ray; nothing if there is no heat.
pub fn heat(heat: &HeatMap, letterbox: &Letterbox) -> Option<RgbaImage> {
    let mut layer = clear(letterbox);
    let peak = map::strokes(layer.dimensions(), heat, letterbox, |at, colour, share| {
        put(&mut layer, at, colour, share);
    });
    (peak > 0.0).then_some(layer)
}

/// The region as [`render`](super::render) draws it, in the size of its X-ray.
pub fn region(mask: &Mask, letterbox: &Letterbox) -> RgbaImage {
    let mut layer = clear(letterbox);
    let size = layer.dimensions();
    let stroke = |at, colour, share| put(&mut layer, at, colour, share);
    area::strokes(size, mask, letterbox, paint::FIRST, line(size), stroke);
    layer
}

fn clear(letterbox: &Letterbox) -> RgbaImage {
    let (width, height) = letterbox.native;
    let (width, height) = drawn_size(width, height);
    RgbaImage::new(width, height)
}

fn put(layer: &mut RgbaImage, (x, y): (u32, u32), Rgb([r, g, b]): Rgb<u8>, share: f32) {
    layer.put_pixel(x, y, Rgba([r, g, b, (255.0 * share).round() as u8]));
}

#[cfg(test)]
mod tests {
    use medfocus_plugin_api::WORKING_SIDE;
    use ndarray::Array2;

    use super::*;

    #[test]
    fn a_layer_covers_what_the_picture_tints_and_nothing_else() {
        let letterbox = Letterbox::new(448, 224, WORKING_SIDE).unwrap();
        let side = WORKING_SIDE as usize;
        let inside = |(y, x): (usize, usize)| (100..120).contains(&y) && x < 112;
        let values = Array2::from_shape_fn((side, side), |at| f32::from(u8::from(inside(at))));
        let layer = heat(&HeatMap::from_array(values.clone()).unwrap(), &letterbox).unwrap();
        assert_eq!(layer.dimensions(), (896, 448));
        // Row 110 of the working image lies in the middle of the picture, whose content begins at row 56.
        let row = (110 - 56) * 448 / 112;
        assert_eq!(layer.get_pixel(100, row).0[3], 140, "55 % of 255");
        assert_eq!(layer.get_pixel(800, row).0[3], 0);
        assert!(heat(&HeatMap::from_array(values * 0.0).unwrap(), &letterbox).is_none());
        let mask = Array2::from_shape_fn((side, side), inside);
        let layer = region(&Mask::from_array(mask).unwrap(), &letterbox);
        assert_eq!(layer.get_pixel(100, row).0[3], 64, "a quarter of 255");
        assert_eq!(layer.get_pixel(800, row).0[3], 0);
    }
}
