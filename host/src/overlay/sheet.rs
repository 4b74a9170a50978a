//! A contact sheet: images side by side, each with the contours of its regions, and what the colours mean.

use std::collections::BTreeMap;

use image::{GrayImage as Grey, Luma, Rgb, RgbImage, imageops};
use medfocus_attribution::CONCEPTS;
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
        for (concept, colour) in CONCEPTS.into_iter().zip(COLOURS) {
            let mask = masks.get(concept);
            let size = (image.width(), image.height());
            if let Some(mask) = mask.filter(|mask| (mask.width(), mask.height()) == size) {
                contour(&mut picture, mask, colour);
            }
        }
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
    let lines = CONCEPTS.len().div_ceil(in_a_row) as i64;
    let height = legend + lines * text.line_height() + GAP;

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
        let (w, h) = picture.dimensions();
        let x = x + i64::from(SIDE - w) / 2;
        let y = y + text.line_height() + i64::from(SIDE - h) / 2;
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

/// A line just inside the region.
fn contour(picture: &mut RgbImage, mask: &Mask, colour: Rgb<u8>) {
    let (width, height) = picture.dimensions();
    let inside = mask.view().mapv(|pixel| f32::from(u8::from(pixel != 0)));
    let inside = upsample(inside.view(), height as usize, width as usize);
    let inside = inside.mapv(|share| share >= 0.5);
    for ((y, x), _) in inside.indexed_iter().filter(|(_, within)| **within) {
        if near_edge(&inside, (y as i64, x as i64)) {
            paint::blend(picture, x as i64, y as i64, colour, 1.0);
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
