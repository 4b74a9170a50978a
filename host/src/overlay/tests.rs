use image::{Rgb, RgbImage};
use medfocus_plugin_api::{BBox, GrayImage, HeatMap, Letterbox, Mask, Working};
use ndarray::{Array2, s};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{NativeBox, Overlay, drawn_size, paint, render};
use crate::evidence::Weighed;

/// An image without two equal neighbours.
fn grey(width: u32, height: u32) -> GrayImage {
    let pixels = Array2::from_shape_fn((height as usize, width as usize), |(y, x)| {
        ((7 * x + 31 * y) % 256) as u8
    });
    GrayImage::from_array(pixels).unwrap()
}

/// Heat 1 in one box of the working image.
fn heat(bbox: &BBox<Working>) -> HeatMap {
    let mut values = Array2::zeros((224, 224));
    let [x1, y1, x2, y2] = bbox.corners().map(|c| c as usize);
    values.slice_mut(s![y1..y2, x1..x2]).fill(1.0);
    HeatMap::from_array(values).unwrap()
}

fn boxed(corners: [u32; 4], score: f64, label: Option<&str>) -> NativeBox {
    let [x1, y1, x2, y2] = corners;
    NativeBox {
        bbox: BBox::new(x1, y1, x2, y2).unwrap(),
        score,
        label: label.map(Into::into),
    }
}

fn draw(native: &GrayImage, heat: Option<&HeatMap>, boxes: &[NativeBox]) -> RgbImage {
    let letterbox = Letterbox::new(native.width(), native.height(), 224).unwrap();
    render(&Overlay {
        native,
        letterbox: &letterbox,
        heat,
        mask: None,
        concepts: None,
        boxes,
        question: "Is there evidence of pneumonia in the image?",
        answer: "Yes",
        method: "occlusion",
        model: "a model",
        notes: &[],
    })
}

/// Draws what a method says of concepts.
fn weigh(native: &GrayImage, mask: Option<&Mask>, boxes: &[NativeBox], said: &Value) -> RgbImage {
    let letterbox = Letterbox::new(native.width(), native.height(), 224).unwrap();
    let said = said.as_object().unwrap();
    let concepts = Weighed::of(said);
    assert!(concepts.is_some(), "{said:?}");
    render(&Overlay {
        native,
        letterbox: &letterbox,
        heat: Some(&heat(&BBox::new(0, 0, 224, 224).unwrap())),
        mask,
        concepts: concepts.as_ref(),
        boxes,
        question: "",
        answer: "",
        method: "",
        model: "",
        notes: &[],
    })
}

/// A disc of the working image.
fn disc(centre: (f64, f64), radius: f64) -> Mask {
    let inside = Array2::from_shape_fn((224, 224), |(y, x)| {
        let (dx, dy) = (x as f64 + 0.5 - centre.0, y as f64 + 0.5 - centre.1);
        dx.hypot(dy) <= radius
    });
    Mask::from_array(inside.view()).unwrap()
}

/// Three concepts; the second is the evidence.
fn said() -> Value {
    json!({
        "winner": "heart", "fallback": false, "reliable": true, "tau": 0.75, "share": 0.7,
        "concepts": [{ "name": "lungs", "delta": 4.0, "boxes": [[10, 20, 60, 200]] },
                     { "name": "heart", "delta": 3.0, "boxes": [[92, 92, 132, 132]] },
                     { "name": "clavicles", "delta": 1.0, "boxes": [[150, 10, 210, 40]] },
                     { "name": "angle", "delta": 0.0, "boxes": [[180, 180, 210, 210]] }],
    })
}

/// Columns of the first row from the top that has `colour` in a run longer than a letter's; 0 if none has.
fn run(page: &RgbImage, left: u32, colour: Rgb<u8>) -> u32 {
    let longest = |y: u32| {
        let (mut longest, mut current) = (0, 0);
        for x in left..page.width() {
            current = if *page.get_pixel(x, y) == colour {
                current + 1
            } else {
                0
            };
            longest = longest.max(current);
        }
        longest
    };
    (0..page.height())
        .map(longest)
        .find(|&run| run > 40)
        .unwrap_or(0)
}

/// Rows of the caption that hold a colour, or nearly: thin strokes are blended.
fn rows_with(page: &RgbImage, top: u32, colour: Rgb<u8>) -> usize {
    let near = |pixel: Rgb<u8>| (0..3).all(|i| pixel.0[i].abs_diff(colour.0[i]) < 50);
    (top..page.height())
        .filter(|&y| (0..page.width()).any(|x| near(*page.get_pixel(x, y))))
        .count()
}

#[test]
fn sizes_are_legible_and_bounded() {
    assert_eq!(drawn_size(1024, 1024), (1024, 1024));
    assert_eq!(drawn_size(2048, 700), (2048, 700));
    assert_eq!(drawn_size(768, 10), (768, 10));
    assert_eq!(drawn_size(224, 224), (896, 896));
    assert_eq!(drawn_size(1, 1), (768, 768));
    assert_eq!(drawn_size(500, 767), (1000, 1534));
    assert_eq!(drawn_size(2500, 3000), (1707, 2048));
    assert_eq!(drawn_size(60_000, 1), (2048, 1));
}

#[test]
fn without_heat_every_pixel_is_the_x_ray_s() {
    let native = grey(800, 900);
    for heat in [
        None,
        Some(HeatMap::from_array(Array2::zeros((224, 224))).unwrap()),
    ] {
        let page = draw(&native, heat.as_ref(), &[]);
        assert_eq!(page.width(), 800);
        for ((y, x), &value) in native.view().indexed_iter() {
            assert_eq!(*page.get_pixel(x as u32, y as u32), Rgb([value; 3]));
        }
    }
}

#[test]
fn heat_colours_its_own_native_pixels_and_no_others() {
    let native = grey(800, 1000);
    let letterbox = Letterbox::new(800, 1000, 224).unwrap();
    let hot = BBox::<Working>::new(60, 80, 90, 100).unwrap();
    let page = draw(&native, Some(&heat(&hot)), &[]);
    // Interpolation reaches half a working pixel beyond, that is 2.2 native ones.
    let [x1, y1, x2, y2] = letterbox.to_native(&hot).unwrap().corners();
    let core = BBox::<Working>::new(x1 + 3, y1 + 3, x2 - 3, y2 - 3).unwrap();
    let reach = BBox::<Working>::new(x1 - 3, y1 - 3, x2 + 3, y2 + 3).unwrap();
    for ((y, x), &value) in native.view().indexed_iter() {
        let (x, y) = (x as u32, y as u32);
        let Rgb([r, g, b]) = *page.get_pixel(x, y);
        if core.contains(x, y) {
            assert!(b < r && b < g, "the strongest heat is yellow at ({x}, {y})");
        } else if !reach.contains(x, y) {
            assert_eq!([r, g, b], [value; 3], "at ({x}, {y})");
        }
    }
}

#[test]
fn the_anatomy_shows_through_the_strongest_heat() {
    let whole = BBox::<Working>::new(0, 0, 224, 224).unwrap();
    let dark = GrayImage::from_array(Array2::from_elem((800, 800), 40)).unwrap();
    let bright = GrayImage::from_array(Array2::from_elem((800, 800), 200)).unwrap();
    let level = |native| draw(native, Some(&heat(&whole)), &[]).get_pixel(400, 400).0;
    let contrast = level(&bright)[0] - level(&dark)[0];
    assert!(
        contrast >= 160 / 3,
        "{contrast} of 160 grey levels are left"
    );
}

#[test]
fn a_box_is_outlined_on_its_own_pixels() {
    let native = grey(800, 900);
    let page = draw(&native, None, &[boxed([300, 400, 500, 700], 0.5, None)]);
    let at = |x, y| *page.get_pixel(x, y);
    for i in 0..2 {
        for corner in [
            (300 + i, 550),
            (499 - i, 550),
            (400, 400 + i),
            (400, 699 - i),
        ] {
            assert_eq!(at(corner.0, corner.1), paint::FIRST);
        }
    }
    let untouched = |x: u32, y: u32| at(x, y) == Rgb([native.view()[(y as usize, x as usize)]; 3]);
    assert!(untouched(297, 550) && untouched(303, 550) && untouched(400, 550));
    assert!(untouched(502, 550) && untouched(496, 550) && untouched(400, 702));
    assert!(
        !untouched(299, 550) && !untouched(302, 550),
        "dark lines on both sides"
    );
}

#[test]
fn boxes_of_an_enlarged_image_are_enlarged_with_it() {
    let page = draw(
        &grey(224, 112),
        None,
        &[
            boxed([100, 20, 150, 90], 0.5, None),
            boxed([10, 20, 50, 90], 0.25, None),
        ],
    );
    assert_eq!(page.width(), 896);
    assert_eq!(*page.get_pixel(400, 200), paint::FIRST);
    assert_eq!(*page.get_pixel(599, 200), paint::FIRST);
    assert_eq!(*page.get_pixel(40, 200), paint::OTHER);
    assert_ne!(*page.get_pixel(39, 200), paint::OTHER);
}

#[test]
fn a_narrow_picture_stands_in_the_middle() {
    let native = grey(100, 800);
    let page = draw(&native, None, &[]);
    assert_eq!(page.width(), 640);
    assert_eq!(*page.get_pixel(269, 400), paint::PAGE);
    assert_eq!(*page.get_pixel(270, 400), Rgb([native.view()[(400, 0)]; 3]));
    assert_eq!(*page.get_pixel(370, 400), paint::PAGE);
}

#[test]
fn the_caption_says_what_was_found() {
    let native = grey(800, 800);
    let none = draw(&native, None, &[]);
    assert!(rows_with(&none, 800, paint::INK) > 20);
    assert!(rows_with(&none, 800, paint::ALERT) > 5, "no evidence found");
    let found = draw(&native, None, &[boxed([10, 10, 60, 60], 1.0, None)]);
    assert_eq!(rows_with(&found, 800, paint::ALERT), 0);
    assert_eq!(found.height(), none.height());
    let hot = heat(&BBox::new(50, 50, 60, 60).unwrap());
    let bar = draw(&native, Some(&hot), &[]);
    assert!(
        bar.height() > none.height(),
        "the colour bar has its own row"
    );
    assert!(rows_with(&bar, 800, super::heat::colour(1.0)) > 5);
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let native = grey(300, 400);
    let hot = heat(&BBox::new(50, 50, 80, 90).unwrap());
    let boxes = [boxed([10, 10, 60, 60], 1.0, Some("left lung"))];
    assert_eq!(
        draw(&native, Some(&hot), &boxes),
        draw(&native, Some(&hot), &boxes)
    );
}

#[test]
fn odd_shapes_and_foreign_geometry_are_drawn() {
    let hot = heat(&BBox::new(0, 0, 224, 224).unwrap());
    for (width, height) in [(1, 1), (1, 700), (700, 1), (3000, 2), (1, 2500)] {
        let boxes = [
            boxed([0, 0, width, height], 1.0, Some("left lung")),
            boxed([width, height, width + 9, height + 9], 0.5, None),
            boxed([0, 0, u32::MAX, u32::MAX], f64::NAN, None),
        ];
        draw(&grey(width, height), Some(&hot), &boxes);
    }
    let native = grey(300, 300);
    for letterbox in [Letterbox::new(300, 300, 500), Letterbox::new(1, 9, 3)] {
        render(&Overlay {
            native: &native,
            letterbox: &letterbox.unwrap(),
            heat: Some(&hot),
            mask: None,
            concepts: None,
            boxes: &[],
            question: "",
            answer: "",
            method: "",
            model: "",
            notes: &[],
        });
    }
}

#[test]
fn the_region_is_tinted_and_the_rest_keeps_its_grey() {
    let native = grey(896, 896);
    let page = weigh(
        &native,
        Some(&disc((112.0, 112.0), 20.0)),
        &[],
        &json!({
            "winner": "heart", "concepts": [{ "name": "heart", "delta": 3.0 }, { "name": "lungs", "delta": 1.0 }],
        }),
    );
    for ((y, x), &value) in native.view().indexed_iter() {
        let distance = (x as f64 + 0.5 - 448.0).hypot(y as f64 + 0.5 - 448.0);
        let Rgb([r, g, b]) = *page.get_pixel(x as u32, y as u32);
        // The mask is exact to a working pixel, four of these; the contour is some two wide, with a dark line.
        if distance > 80.0 + 6.0 {
            assert_eq!([r, g, b], [value; 3], "at ({x}, {y})");
        } else if distance < 80.0 - 10.0 {
            assert_eq!(
                Rgb([r, g, b]),
                paint::mix(Rgb([value; 3]), paint::FIRST, 0.25),
                "at ({x}, {y})"
            );
        }
    }
    for (x, y) in (0..360).map(|degrees| f64::from(degrees).to_radians().sin_cos()) {
        let mut ray = (60..100).map(|r| (448.0 + x * f64::from(r), 448.0 + y * f64::from(r)));
        let contour = ray.any(|(x, y)| *page.get_pixel(x as u32, y as u32) == paint::FIRST);
        assert!(
            contour,
            "the contour is closed, at ({x}, {y}) of the circle"
        );
    }
}

#[test]
fn the_smallest_region_is_seen() {
    let mut inside = Array2::from_elem((224, 224), false);
    inside[(100, 50)] = true;
    let mask = Mask::from_array(inside.view()).unwrap();
    let page = weigh(&grey(896, 896), Some(&mask), &[], &said());
    assert_eq!(*page.get_pixel(201, 401), paint::FIRST);
    assert_eq!(*page.get_pixel(202, 402), paint::FIRST);
}

#[test]
fn bars_are_as_long_as_their_delta() {
    let native = grey(800, 800);
    let page = weigh(&native, None, &[], &said());
    let [full, evidence, third] =
        [1, 0, 2].map(|hue| f64::from(run(&page, 800, paint::CONCEPTS[hue])));
    // The dashed threshold cuts off what is left of 0.2877 / 4 of the bar, and two pixels.
    let cut = 0.75_f64.ln() / -4.0;
    assert!(full > 100.0, "{full}");
    let unit = full / (1.0 - cut);
    assert!(
        (evidence - unit * (0.75 - cut)).abs() < 3.0,
        "{evidence} of {full}"
    );
    assert!(
        (third - unit * (0.25 - cut)).abs() < 3.0,
        "{third} of {full}"
    );
    assert!(rows_with(&page, 0, paint::CONCEPTS[0]) > 5);
}

#[test]
fn others_are_thin_boxes_and_the_weakest_are_none() {
    let native = grey(896, 896);
    let page = weigh(&native, None, &[], &said());
    let value = |x: u32, y: u32| native.view()[(y as usize, x as usize)];
    let untouched = |x, y| *page.get_pixel(x, y) == Rgb([value(x, y); 3]);
    let faintly = |x, y, hue: usize| {
        let expected = paint::mix(Rgb([value(x, y); 3]), paint::CONCEPTS[hue], 0.6);
        assert_eq!(*page.get_pixel(x, y), expected, "at ({x}, {y})");
    };
    faintly(40, 400, 1);
    faintly(600, 100, 2);
    assert!(untouched(41, 400) && untouched(39, 400) && untouched(200, 400));
    // Nothing is lost without `angle`; the evidence's box is the attribution's to give.
    assert!(untouched(720, 760) && untouched(368, 448));
}

#[test]
fn where_no_concept_dominates_nothing_is_tinted() {
    let native = grey(896, 896);
    let mut said = said();
    said["fallback"] = json!(true);
    let whole = Mask::from_array(Array2::from_elem((224, 224), true).view()).unwrap();
    let page = weigh(
        &native,
        Some(&whole),
        &[boxed([0, 0, 896, 896], 0.1, None)],
        &said,
    );
    assert_eq!(*page.get_pixel(0, 300), paint::FIRST);
    for (x, y) in [(300, 300), (448, 448), (20, 300), (700, 600)] {
        let value = native.view()[(y as usize, x as usize)];
        assert_eq!(*page.get_pixel(x, y), Rgb([value; 3]), "at ({x}, {y})");
    }
    assert_eq!(
        run(&page, 896, paint::CONCEPTS[0]),
        0,
        "no bar is the evidence's"
    );
    assert!(run(&page, 896, paint::CONCEPTS[1]) > 0);
}

#[test]
fn a_result_that_is_not_reliable_is_seen_at_once() {
    let native = grey(896, 896);
    let mut said = said();
    assert_eq!(run(&weigh(&native, None, &[], &said), 896, paint::ALERT), 0);
    said["reliable"] = json!(false);
    assert!(run(&weigh(&native, None, &[], &said), 896, paint::ALERT) > 200);
}

#[test]
fn evidence_of_any_kind_is_drawn() {
    let many = |count: usize, name: &str| {
        let concept = |at: usize| json!({ "name": format!("{name}{at}"), "delta": at, "boxes": [[0, 0, 1 + at, 9]] });
        Value::Array((0..count).map(concept).collect())
    };
    let of = |value: &Value| Weighed::of(value.as_object().unwrap()).is_some();
    assert!(!of(
        &json!({ "concepts": vec![json!({ "name": "a", "delta": 1 }); 1_000_000] })
    ));
    assert!(!of(
        &json!({ "concepts": [{ "name": "a".repeat(1000), "delta": 1 }] })
    ));
    assert!(!of(
        &json!({ "concepts": [{ "name": "a", "delta": f64::NAN }] })
    ));
    assert!(!of(
        &json!({ "concepts": [{ "name": "a", "delta": 1e300 }] })
    ));
    let boxes = json!([
        [0, 0, 4_294_967_295_u32, 4_294_967_295_u32],
        [500, 500, 600, 600],
        [9, 9, 9, 9],
        [-1, 0, 5, 5],
        [0.5, 1, 2, 3],
        [1, 2, 3],
        "box",
        null,
        [1e300, 0, 1, 1],
    ]);
    let mask = disc((3.0, 3.0), 500.0);
    let odd = Mask::from_array(Array2::from_elem((3, 999), true).view()).unwrap();
    for said in [
        json!({ "concepts": many(100, "\u{202e}x") }),
        json!({ "winner": "w99", "concepts": many(100, &"w".repeat(97)) }),
        json!({ "winner": 3, "tau": "0.75", "share": -1, "reliable": "no", "concepts": [{ "name": "a", "delta": -5, "boxes": boxes }] }),
        json!({ "winner": "a", "tau": 0, "concepts": [{ "name": "a", "delta": 0, "boxes": [1, 2, 3, 4] }] }),
        json!({ "winner": "b", "tau": 5e-324, "concepts": [{ "name": "a", "delta": 1e6 }, { "name": "a", "delta": -1e6 }] }),
    ] {
        for (width, height, mask) in [
            (1, 1, Some(&mask)),
            (2000, 30, Some(&odd)),
            (30, 2000, None),
            (90, 120, Some(&mask)),
        ] {
            let boxes = [boxed([0, 0, 9, 9], 1.0, Some("a"))];
            let page = weigh(&grey(width, height), mask, &boxes, &said);
            assert!(page.width() < 4000 && page.height() < 4000);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_size_and_any_text_is_drawn(
        width in 1u32..1500, height in 1u32..1500,
        corners in (0u32..1500, 0u32..1500, 1u32..1500, 1u32..1500),
        question in any::<String>(), answer in any::<String>(), label in any::<String>(),
        notes in prop::collection::vec(any::<String>(), 0..3),
    ) {
        let native = grey(width, height);
        let letterbox = Letterbox::new(width, height, 224).unwrap();
        let (x, y, w, h) = corners;
        let page = render(&Overlay {
            native: &native,
            letterbox: &letterbox,
            heat: Some(&heat(&BBox::new(20, 30, 200, 190).unwrap())),
            mask: None,
            concepts: None,
            boxes: &[boxed([x, y, x + w, y + h], 0.5, Some(&label))],
            question: &question,
            answer: &answer,
            method: &label,
            model: &label,
            notes: &notes,
        });
        let drawn = drawn_size(width, height);
        prop_assert_eq!(page.width(), drawn.0.max(640));
        prop_assert!(page.height() > drawn.1);
    }
}
