//! A contact sheet: images side by side, each with the contours of its regions, and what the colours mean.

use std::collections::BTreeMap;

use image::{GrayImage as Grey, Luma, Rgb, RgbImage, imageops};
use medfocus_plugin_api::CONCEPTS;
use medfocus_plugin_api::{GrayImage, Mask, heat::upsample};
use ndarray::Array2;

use super::{
    paint::{self, Rect},
    text::Text,
};

/// Images on a sheet at most.
pub const MOST: u64 = 64;

/// The longer side of a tile's image in pixels.
const SIDE: u32 = 360;
/// Pixels of a contour.
const LINE: i64 = 2;
/// Pixels of one colour along a shared contour.
const DASH: usize = 8;
/// Pixels between tiles, and around them.
const GAP: i64 = 16;
/// Columns at most.
const MAX_COLUMNS: usize = 6;

/// A colour each of [`CONCEPTS`]: pairs share a hue, the left side is the lighter one.
const COLOURS: [Rgb<u8>; CONCEPTS.len()] = [
    Rgb([255, 84, 84]),
    Rgb([140, 205, 255]),
    Rgb([45, 130, 255]),
    Rgb([255, 226, 70]),
    Rgb([255, 150, 40]),
    Rgb([255, 170, 240]),
    Rgb([225, 70, 200]),
    Rgb([170, 245, 120]),
    Rgb([50, 190, 70]),
    Rgb([150, 250, 235]),
    Rgb([0, 180, 165]),
];

/// An image with its contours and its name.
#[derive(Clone, Debug)]
pub struct Tile {
    name: String,
    picture: RgbImage,
}

impl Tile {
    /// Draws the masks of [`CONCEPTS`] among these; one that has not the image's size is none.
    pub fn new(name: &str, image: &GrayImage, masks: &BTreeMap<String, Mask>) -> Self {
        let mut picture = reduced(image);
        let mut contours = Contours::of(&picture);
        let size = (image.width(), image.height());
        for (concept, name) in CONCEPTS.into_iter().enumerate() {
            let mask = masks.get(name);
            if let Some(mask) = mask.filter(|mask| (mask.width(), mask.height()) == size) {
                contours.add(concept, mask);
            }
        }
        contours.draw(&mut picture);
        Self {
            name: name.to_owned(),
            picture,
        }
    }
}

/// Lays the tiles out, row by row, under a title and over a legend. The same input gives the same bytes.
pub fn draw(title: &str, tiles: &[Tile]) -> RgbImage {
    let (heading, text) = (Text::bold(24.0), Text::regular(18.0));
    let columns = (1..MAX_COLUMNS)
        .find(|columns| columns * columns >= tiles.len())
        .unwrap_or(MAX_COLUMNS);
    let rows = tiles.len().div_ceil(columns);
    let tile = (
        i64::from(SIDE) + GAP,
        i64::from(SIDE) + text.line_height() + GAP,
    );
    let width = (GAP + columns as i64 * tile.0).max(2 * tile.0 + GAP);
    let top = GAP + heading.line_height() + text.line_height() + GAP;
    let legend = top + rows as i64 * tile.1;
    let entry = CONCEPTS.iter().map(|name| text.width(name)).max();
    let entry = 3 * GAP + entry.unwrap_or(0);
    let in_a_row = ((width - GAP) / entry).max(1) as usize;
    let lines = CONCEPTS.len().div_ceil(in_a_row);
    let in_a_row = CONCEPTS.len().div_ceil(lines);
    let height = legend + lines as i64 * text.line_height() + GAP;

    let mut page = RgbImage::from_pixel(width as u32, height as u32, paint::PAGE);
    heading.draw(&mut page, (GAP, GAP), paint::INK, title);
    let note = "The patient's left is on the right of the image.";
    let under = GAP + heading.line_height();
    text.draw(&mut page, (GAP, under), paint::FAINT, note);
    for (i, Tile { name, picture }) in tiles.iter().enumerate() {
        let x = GAP + (i % columns) as i64 * tile.0;
        let y = top + (i / columns) as i64 * tile.1;
        let name = text.clip(name, SIDE.into());
        text.draw(&mut page, (x, y), paint::INK, &name);
        let y = y + text.line_height();
        imageops::replace(&mut page, picture, x, y);
    }
    for (i, (name, colour)) in CONCEPTS.into_iter().zip(COLOURS).enumerate() {
        let x = GAP + (i % in_a_row) as i64 * entry;
        let y = legend + (i / in_a_row) as i64 * text.line_height();
        let swatch = Rect::new(x, y + text.line_height() / 2 - 2, GAP, 4);
        paint::fill(&mut page, swatch, colour, 1.0);
        text.draw(&mut page, (x + GAP + GAP / 2, y), paint::INK, name);
    }
    page
}

/// The image with its longer side at [`SIDE`].
fn reduced(image: &GrayImage) -> RgbImage {
    let (width, height) = (image.width(), image.height());
    let longer = f64::from(width.max(height));
    let fit = |side: u32| ((f64::from(side) * f64::from(SIDE) / longer).round() as u32).max(1);
    let pixels = image.view();
    let grey = Grey::from_fn(width, height, |x, y| {
        Luma([pixels[(y as usize, x as usize)]])
    });
    let filter = imageops::FilterType::CatmullRom;
    let grey = imageops::resize(&grey, fit(width), fit(height), filter);
    RgbImage::from_fn(grey.width(), grey.height(), |x, y| {
        Rgb([grey.get_pixel(x, y).0[0]; 3])
    })
}

/// Lines just inside the regions: bit c of a pixel says whether concept c has its line there.
struct Contours(Array2<u16>);

impl Contours {
    fn of(picture: &RgbImage) -> Self {
        Self(Array2::zeros((
            picture.height() as usize,
            picture.width() as usize,
        )))
    }

    fn add(&mut self, concept: usize, mask: &Mask) {
        let inside = mask.view().mapv(|pixel| f32::from(u8::from(pixel != 0)));
        let (height, width) = self.0.dim();
        let inside = upsample(inside.view(), height, width).mapv(|share| share >= 0.5);
        for ((y, x), bits) in self.0.indexed_iter_mut() {
            if inside[(y, x)] && near_edge(&inside, (y as i64, x as i64)) {
                *bits |= 1 << concept;
            }
        }
    }

    /// Where lines coincide, as those of heart and mediastinum do, their colours take turns.
    fn draw(&self, picture: &mut RgbImage) {
        for ((y, x), &bits) in self.0.indexed_iter() {
            let mut here = (0..CONCEPTS.len()).filter(|concept| bits >> concept & 1 == 1);
            let turn = (x + y) / DASH % (bits.count_ones() as usize).max(1);
            if let Some(concept) = here.nth(turn) {
                paint::blend(picture, x as i64, y as i64, COLOURS[concept], 1.0);
            }
        }
    }
}

/// Whether a pixel is within [`LINE`] of one outside the region; all beyond the picture are.
fn near_edge(inside: &Array2<bool>, (y, x): (i64, i64)) -> bool {
    let out = |y: i64, x: i64| {
        let at = usize::try_from(y).ok().zip(usize::try_from(x).ok());
        !at.and_then(|at| inside.get(at))
            .is_some_and(|within| *within)
    };
    (1..=LINE).any(|d| out(y - d, x) || out(y + d, x) || out(y, x - d) || out(y, x + d))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn grey(width: usize, height: usize) -> GrayImage {
        GrayImage::from_array(Array2::from_elem((height, width), 50)).unwrap()
    }

    /// A square of each of these concepts.
    fn squares(names: &[&str], from: usize, to: usize) -> BTreeMap<String, Mask> {
        let side = from..to;
        let inside =
            Array2::from_shape_fn((360, 360), |(y, x)| side.contains(&y) && side.contains(&x));
        let mask = Mask::from_array(inside.view()).unwrap();
        names
            .iter()
            .map(|name| ((*name).to_owned(), mask.clone()))
            .collect()
    }

    #[test]
    fn a_contour_lies_just_inside_its_region() {
        let masks = squares(&["left lung"], 100, 200);
        let tile = Tile::new("a", &grey(360, 360), &masks).picture;
        for (x, y, pixel) in tile.enumerate_pixels() {
            let within = |a: u32, b: u32| (a..b).contains(&x) && (a..b).contains(&y);
            let expected = if within(100, 200) && !within(102, 198) {
                COLOURS[1]
            } else {
                Rgb([50; 3])
            };
            assert_eq!(*pixel, expected, "at ({x}, {y})");
        }
    }

    #[test]
    fn shared_contours_show_every_colour() {
        let names = ["cardiac silhouette", "mediastinum", "upper mediastinum"];
        let tile = Tile::new("a", &grey(360, 360), &squares(&names, 100, 200)).picture;
        for concept in [0, 3, 4] {
            let pixels = (100..200).filter(|&x| *tile.get_pixel(x, 100) == COLOURS[concept]);
            assert!((25..45).contains(&pixels.count()), "of concept {concept}");
        }
    }

    #[test]
    fn colours_differ() {
        let differ =
            |a: &Rgb<u8>, b: &Rgb<u8>| (0..3).map(|i| a.0[i].abs_diff(b.0[i])).max() >= Some(40);
        for (i, colour) in COLOURS.iter().enumerate() {
            assert!(
                COLOURS[..i].iter().all(|other| differ(colour, other)),
                "{i}"
            );
        }
    }

    #[test]
    fn a_mask_of_another_size_is_not_drawn() {
        let masks = squares(&["left lung"], 100, 200);
        let tile = Tile::new("a", &grey(100, 360), &masks).picture;
        assert!(tile.pixels().all(|pixel| *pixel == Rgb([50; 3])));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn every_tile_has_its_place(count in 1usize..=64, width in 1usize..50, height in 1usize..50) {
            let tile = Tile::new("a", &grey(width, height), &BTreeMap::new());
            let pixels = tile.picture.width() * tile.picture.height();
            let page = draw("title", &vec![tile; count]);
            let drawn = page.pixels().filter(|pixel| **pixel == Rgb([50; 3])).count();
            // A glyph may blend to the same grey by chance.
            prop_assert!(drawn.abs_diff(count * pixels as usize) < 200);
        }
    }
}
