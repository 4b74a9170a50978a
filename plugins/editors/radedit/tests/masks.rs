//! Squares, regions and borders against Pillow and their own definitions.

mod editor;

use editor::{fixture, read_json};
use medfocus_editor_radedit::masks::{LatentMask, latent_region, paste_back, square, unsquare};
use medfocus_plugin_api::protocol::editor::Side;
use medfocus_plugin_api::{BBox, EditRequest, GrayImage};
use ndarray::{Array2, s};
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    size: [usize; 2],
    boxes: Vec<[u32; 4]>,
    side: u32,
    background: bool,
    cells: Vec<String>,
}

#[test]
fn the_latent_region_is_the_published_one() {
    let cases: Vec<Case> = serde_json::from_value(read_json(&fixture("masks.json"))).unwrap();
    assert_eq!(cases.len(), 8);
    for case in cases {
        let [width, height] = case.size;
        let boxes = case.boxes.iter();
        let boxes = boxes.map(|&[x1, y1, x2, y2]| BBox::new(x1, y1, x2, y2).unwrap());
        let image = GrayImage::from_array(Array2::zeros((height, width))).unwrap();
        let mut request = EditRequest::new(image, boxes.collect(), "");
        if case.background {
            request.side = Side::Background;
        }
        let region = request.edited().unwrap();
        let of = |rule| latent_region(region.view(), case.side, 8, rule);
        let nearest = of(LatentMask::Nearest);
        let rows = nearest.rows().into_iter().map(|row| -> String {
            let mark = |&inside: &bool| if inside { '#' } else { '.' };
            row.iter().map(mark).collect()
        });
        assert_eq!(rows.collect::<Vec<_>>(), case.cells, "{:?}", case.boxes);
        let cover = of(LatentMask::Cover);
        assert!(nearest.iter().zip(&cover).all(|(&n, &c)| c || !n));
    }
}

#[test]
fn a_region_within_a_cell_is_covered_but_not_nearest() {
    let mut region = Array2::from_elem((64, 64), false);
    region.slice_mut(s![9..15, 17..23]).fill(true);
    let cells = |rule| latent_region(region.view(), 64, 8, rule);
    assert!(!cells(LatentMask::Nearest).iter().any(|&inside| inside));
    let covered = cells(LatentMask::Cover);
    let expected = Array2::from_shape_fn((8, 8), |at| at == (1, 2));
    assert_eq!(covered, expected);
}

#[test]
fn an_image_of_the_right_size_is_left_alone() {
    let image = Array2::from_shape_fn((32, 32), |(y, x)| (7 * y + 3 * x) as u8);
    assert_eq!(square(image.view(), 32), image);
    assert_eq!(unsquare(image.view(), (32, 32)).unwrap(), image);
}

#[test]
fn a_letterboxed_image_comes_back_without_its_padding() {
    for (height, width) in [(300, 201), (64, 7), (1, 50), (10, 12)] {
        let image = Array2::from_elem((height, width), 99);
        let back = unsquare(square(image.view(), 64).view(), (height, width)).unwrap();
        assert_eq!(back, image);
    }
}

/// The definition, slowly.
#[test]
fn the_share_of_the_edit_falls_with_the_distance() {
    let mut region = Array2::from_elem((40, 50), false);
    region.slice_mut(s![10..14, 20..30]).fill(true);
    region[(30, 5)] = true;
    let (old, new) = (
        Array2::from_elem((40, 50), 100),
        Array2::from_elem((40, 50), 220),
    );
    for border in [0, 3, 7] {
        let found = paste_back(old.view(), new.view(), region.view(), border);
        for ((y, x), &pixel) in found.indexed_iter() {
            let inside = region.indexed_iter().filter(|(_, inside)| **inside);
            let distance = inside
                .map(|((v, u), _)| y.abs_diff(v).max(x.abs_diff(u)))
                .min();
            let share = (1.0 - distance.unwrap() as f64 / f64::from(border + 1)).max(0.0);
            assert_eq!(pixel, (100.0 + 120.0 * share).round() as u8, "{y} {x}");
        }
    }
    let nothing = Array2::from_elem((40, 50), false);
    let found = paste_back(old.view(), new.view(), nothing.view(), 3);
    assert_eq!(found, old);
}
