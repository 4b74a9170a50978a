//! The small picture of a gallery: the working image, what was found, and what was annotated.

use image::{Rgb, RgbImage, imageops};
use medfocus_plugin_api::{BBox, GrayImage, HeatMap, Letterbox, Mask, WORKING_SIDE, Working};

use super::{
    Shown, concepts,
    marks::{self, Mark},
    paint::{self, Rect},
};
use crate::evidence::Weighed;

/// The colour of what was annotated. Amber and the cyan of what was found are told apart with any kind of colour
/// vision, and one line is dashed, the other solid.
pub const TRUTH: Rgb<u8> = Rgb([255, 176, 0]);

/// Times the working image is enlarged.
const SCALE: u32 = 2;
/// Pixels of a line.
const LINE: i64 = 4;
/// Pixels of a region's contour.
const CONTOUR: i64 = 3;
/// Height of the letters at concepts.
const TEXT: f32 = 18.0;
/// Pixels of a dash, and from the start of one dash to the next.
const DASH: i64 = 16;
const PERIOD: i64 = 26;

/// What to draw, all in the working frame.
#[derive(Clone, Copy, Debug)]
pub struct Thumbnail<'a> {
    /// The working image.
    pub working: &'a GrayImage,
    /// The evidence as a map.
    pub heat: Option<&'a HeatMap>,
    /// The evidence as a region.
    pub mask: Option<&'a Mask>,
    /// The concepts that were weighed.
    pub concepts: Option<&'a Weighed<'a>>,
    /// What was found, the strongest first.
    pub found: &'a [BBox<Working>],
    /// What was annotated.
    pub truth: &'a [BBox<Working>],
}

impl<'a> Thumbnail<'a> {
    /// The image with nothing on it.
    pub fn of(working: &'a GrayImage) -> Self {
        Self {
            working,
            heat: None,
            mask: None,
            concepts: None,
            found: &[],
            truth: &[],
        }
    }
}

/// Draws the working image at twice its size, 448 x 448, with the heat or the region and the concepts over it as in the large
/// picture, the boxes that were found in solid cyan, the strongest (the first) brightest, and the annotated ones in dashed
/// amber on top.
///
/// Parts of boxes outside the working image are not drawn. The same input gives the same bytes.
pub fn thumbnail(spec: &Thumbnail<'_>) -> RgbImage {
    let pixels = spec.working.view();
    let grey = RgbImage::from_fn(spec.working.width(), spec.working.height(), |x, y| {
        Rgb([pixels[(y as usize, x as usize)]; 3])
    });
    let side = SCALE * WORKING_SIDE;
    let mut picture = imageops::resize(&grey, side, side, imageops::FilterType::CatmullRom);
    let shown = Shown::of(spec.heat, spec.mask, spec.concepts);
    shown.draw(&mut picture, &ALL, CONTOUR);
    let found = spec.found.iter().enumerate().map(|(at, bbox)| Mark {
        rect: scaled(bbox),
        colour: paint::rank(at, spec.concepts.is_some()),
        line: shown.box_line(LINE),
        words: Vec::new(),
        faint: false,
    });
    let others = spec.concepts.into_iter();
    let others =
        others.flat_map(|concepts| concepts::others(concepts, 1, |bbox| Some(scaled(bbox))));
    let marks: Vec<_> = found.chain(others).collect();
    marks::draw(&mut picture, &marks, TEXT);
    for bbox in spec.truth {
        dashed(&mut picture, scaled(bbox));
    }
    picture
}

/// The working image fills the picture.
const ALL: Letterbox = Letterbox {
    native: (WORKING_SIDE, WORKING_SIDE),
    side: WORKING_SIDE,
    scaled: (WORKING_SIDE, WORKING_SIDE),
    left: 0,
    top: 0,
};

fn scaled(bbox: &BBox<Working>) -> Rect {
    let [x1, y1, x2, y2] = bbox.corners().map(|c| i64::from(c) * i64::from(SCALE));
    Rect { x1, y1, x2, y2 }
}

/// Dashes just inside the box; between them, whatever lies beneath stays visible.
fn dashed(picture: &mut RgbImage, rect: Rect) {
    let clipped = |rect: Rect| Rect {
        x1: rect.x1.max(0),
        y1: rect.y1.max(0),
        x2: rect.x2.min(picture.width().into()),
        y2: rect.y2.min(picture.height().into()),
    };
    let dashes: Vec<Rect> = dashes(clipped(rect)).collect();
    for dash in &dashes {
        paint::fill(picture, dash.grown(1), paint::DARK, 0.7);
    }
    for dash in dashes {
        paint::fill(picture, dash, TRUTH, 1.0);
    }
}

fn dashes(rect: Rect) -> impl Iterator<Item = Rect> {
    let starts = |from: i64, to: i64| (from..to).step_by(PERIOD as usize);
    let across = starts(rect.x1, rect.x2).flat_map(move |x| {
        let length = DASH.min(rect.x2 - x);
        [rect.y1, rect.y2 - LINE].map(|y| Rect::new(x, y, length, LINE))
    });
    let down = starts(rect.y1, rect.y2).flat_map(move |y| {
        let length = DASH.min(rect.y2 - y);
        [rect.x1, rect.x2 - LINE].map(|x| Rect::new(x, y, LINE, length))
    });
    across.chain(down)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;
    use proptest::prelude::*;

    fn grey(level: u8) -> GrayImage {
        GrayImage::from_array(Array2::from_elem((224, 224), level)).unwrap()
    }

    fn bbox(x1: u32, y1: u32, x2: u32, y2: u32) -> BBox<Working> {
        BBox::new(x1, y1, x2, y2).unwrap()
    }

    fn draw(
        working: &GrayImage,
        heat: Option<&HeatMap>,
        found: &[BBox<Working>],
        truth: &[BBox<Working>],
    ) -> RgbImage {
        thumbnail(&Thumbnail {
            heat,
            found,
            truth,
            ..Thumbnail::of(working)
        })
    }

    #[test]
    fn without_evidence_it_is_the_image_enlarged() {
        let step = Array2::from_shape_fn((224, 224), |(_, x)| if x < 112 { 30 } else { 90 });
        let picture = draw(&GrayImage::from_array(step).unwrap(), None, &[], &[]);
        assert_eq!(picture.dimensions(), (448, 448));
        assert_eq!(*picture.get_pixel(0, 200), Rgb([30; 3]));
        assert_eq!(*picture.get_pixel(447, 200), Rgb([90; 3]));
        let no_heat = HeatMap::from_array(Array2::zeros((224, 224))).unwrap();
        let cold = draw(&grey(70), Some(&no_heat), &[], &[]);
        assert!(cold.pixels().all(|pixel| *pixel == Rgb([70; 3])));
    }

    #[test]
    fn heat_lies_on_its_own_pixels() {
        let mut values = Array2::zeros((224, 224));
        values.slice_mut(ndarray::s![100..120, 40..60]).fill(1.0);
        let heat = HeatMap::from_array(values).unwrap();
        let picture = draw(&grey(70), Some(&heat), &[], &[]);
        for (x, y, pixel) in picture.enumerate_pixels() {
            let within = |reach: u32| {
                (80 - reach..120 + reach).contains(&x) && (200 - reach..240 + reach).contains(&y)
            };
            if !within(2) {
                assert_eq!(*pixel, Rgb([70; 3]), "at ({x}, {y})");
            } else if (84..116).contains(&x) && (204..236).contains(&y) {
                assert!(pixel.0[0] > pixel.0[2], "the strongest heat is yellow");
            }
        }
    }

    #[test]
    fn found_is_a_solid_line_and_truth_a_dashed_one() {
        // 120 pixels of the picture wide; the truth ends with the fifth dash.
        let (found, truth) = (bbox(20, 30, 80, 90), bbox(120, 30, 180, 90));
        let picture = draw(&grey(70), None, &[found, bbox(20, 120, 80, 180)], &[truth]);
        let count = |y: u32, from: u32, colour: Rgb<u8>| {
            (from..from + 120)
                .filter(|&x| *picture.get_pixel(x, y) == colour)
                .count() as i64
        };
        for y in [60, 63, 176, 179] {
            assert_eq!(count(y, 40, paint::FIRST), 120, "row {y}");
            assert_eq!(count(y, 240, TRUTH), 5 * DASH, "row {y}");
            assert!(
                count(y, 240, Rgb([70; 3])) > 0,
                "the image shows between dashes"
            );
        }
        assert_eq!(count(240, 40, paint::OTHER), 120);
        assert_eq!(
            count(120, 40, Rgb([70; 3])),
            120 - 2 * (LINE + 1),
            "boxes are not filled"
        );
    }

    #[test]
    fn where_both_agree_both_are_seen() {
        let agreed = [bbox(20, 30, 80, 90)];
        let picture = draw(&grey(70), None, &agreed, &agreed);
        for colour in [paint::FIRST, TRUTH] {
            assert!((40..160).any(|x| *picture.get_pixel(x, 60) == colour));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn any_box_is_drawn(corners in (0u32..400, 0u32..400, 1u32..u32::MAX / 4, 1u32..500)) {
            let (x, y, width, height) = corners;
            let boxes = [bbox(x, y, x + width, y + height)];
            draw(&grey(9), None, &boxes, &boxes);
        }
    }
}
