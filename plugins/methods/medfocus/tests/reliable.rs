//! Chests are relied on, however they were taken; other images are not.

mod common;

use common::{TEST, displaced, phantom};
use medfocus_method_medfocus::{Features, MedFocusParams, Reference, doubt, likeness, rank};
use medfocus_plugin_api::{BBox, GrayImage};
use ndarray::{Array2, s};

struct Judge {
    references: Vec<Reference>,
    params: MedFocusParams,
}

impl Judge {
    fn new() -> Self {
        let params = MedFocusParams::default();
        let references =
            (0..16).map(|seed| Reference::of(&phantom(seed, true), &params.looks()).unwrap());
        Self {
            references: references.collect(),
            params,
        }
    }

    fn likeness(&self, image: &GrayImage) -> f64 {
        let content = BBox::new(0, 0, 224, 224).unwrap();
        let features = Features::of(image, &content, &self.params.looks()).unwrap();
        likeness(
            &rank(
                &features,
                &self.references,
                None,
                &self.params.localisation(),
            )
            .unwrap(),
        )
    }

    fn doubts(&self, pixels: Array2<u8>) -> Option<String> {
        doubt(self.likeness(&GrayImage::from_array(pixels).unwrap()))
    }
}

fn curve(image: &GrayImage, tone: impl Fn(f64) -> f64) -> Array2<u8> {
    let level = |pixel: u8| (255.0 * tone(f64::from(pixel) / 255.0)).round() as u8;
    image.view().mapv(level)
}

#[test]
fn chests_are_relied_on() {
    let judge = Judge::new();
    for i in 0..40 {
        let chest = phantom(TEST + i, false);
        let moved = displaced(&chest, i).image;
        for (what, pixels) in [
            ("as it is", chest.image.view().to_owned()),
            ("displaced", moved.view().to_owned()),
            ("dark", curve(&chest.image, |level| level.powi(2))),
            ("bright", curve(&moved, |level| level.sqrt())),
            ("faint", curve(&moved, |level| 0.3 + 0.4 * level)),
        ] {
            let doubt = judge.doubts(pixels);
            assert_eq!(doubt, None, "{what} {i}");
        }
    }
}

/// A side view: one dark oval before a spine that curves behind it.
fn lateral(lean: f64) -> Array2<u8> {
    Array2::from_shape_fn((224, 224), |(row, column)| {
        let (y, x) = (row as f64, column as f64 - lean * (row as f64 - 112.0));
        let oval = |cy: f64, cx: f64, ry: f64, rx: f64| {
            ((y - cy) / ry).powi(2) + ((x - cx) / rx).powi(2) < 1.0
        };
        match () {
            () if (x - 150.0 - 8.0 * (y / 40.0).sin()).abs() < 12.0 => 200,
            () if oval(130.0, 85.0, 32.0, 28.0) => 160,
            () if !oval(120.0, 112.0, 130.0, 70.0) => 5,
            () if y > 170.0 + 0.2 * (x - 112.0) => 190,
            () if oval(100.0, 100.0, 75.0, 48.0) => 60,
            () => 150,
        }
    })
}

#[test]
fn other_images_are_not() {
    let judge = Judge::new();
    let noise = Array2::from_shape_fn((224, 224), |(y, x)| {
        let mixed = (y * 7919 + x * 104_729 + 12345).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed >> 40) as u8
    });
    let fingers = Array2::from_shape_fn((224, 224), |(y, x)| {
        let hand = (60..170).contains(&x) && (y > 120 || y > 20 && (x / 22) % 2 == 0);
        if hand { 200 } else { 0 }
    });
    let disc = Array2::from_shape_fn((224, 224), |(y, x)| {
        if y.abs_diff(112).pow(2) + x.abs_diff(112).pow(2) < 6400 {
            200
        } else {
            0
        }
    });
    let mut strangers = vec![
        ("noise", noise),
        ("fingers", fingers),
        ("a disc", disc),
        (
            "a ramp",
            Array2::from_shape_fn((224, 224), |(_, x)| x as u8),
        ),
        ("a side view", lateral(0.0)),
        ("a leaning side view", lateral(0.15)),
    ];
    for i in 0..10 {
        let chest = phantom(TEST + i, false).image;
        let chest = chest.view();
        let mut half = chest.to_owned();
        half.slice_mut(s![.., ..112]).fill(0);
        strangers.extend([
            ("upside down", chest.slice(s![..;-1, ..]).to_owned()),
            ("on its left", chest.t().slice(s![.., ..;-1]).to_owned()),
            ("on its right", chest.t().slice(s![..;-1, ..]).to_owned()),
            ("inverted", chest.mapv(|pixel| 255 - pixel)),
            ("half", half),
        ]);
    }
    for (what, pixels) in strangers {
        let likeness = judge.likeness(&GrayImage::from_array(pixels).unwrap());
        assert!(doubt(likeness).is_some(), "{what}: {likeness}");
    }
}
