//! Colours and the few strokes everything is drawn with.

use image::{Rgb, RgbImage};

use crate::evidence::HUES;

/// Behind picture and caption.
pub const PAGE: Rgb<u8> = Rgb([16, 19, 23]);
/// Text to read.
pub const INK: Rgb<u8> = Rgb([236, 239, 243]);
/// Text beside it.
pub const FAINT: Rgb<u8> = Rgb([139, 149, 163]);
/// What must not be missed.
pub const ALERT: Rgb<u8> = Rgb([255, 196, 87]);
/// The strongest box, the evidence: a hue that neither X-rays nor the heat's colours have.
pub const FIRST: Rgb<u8> = Rgb([0, 229, 255]);
/// Concepts by their hue ([`Weighed::hue`](crate::evidence::Weighed::hue)): bright on an X-ray, and told apart, from each
/// other, from greys and from what was annotated, with any common kind of colour vision.
pub const CONCEPTS: [Rgb<u8>; HUES] = [
    FIRST,
    Rgb([255, 80, 40]),
    Rgb([200, 80, 255]),
    Rgb([140, 230, 140]),
    Rgb([140, 170, 255]),
    FAINT,
];
/// The other boxes.
pub const OTHER: Rgb<u8> = Rgb([158, 240, 208]);
/// Around and on what is bright.
pub const DARK: Rgb<u8> = Rgb([4, 8, 12]);

/// The colour of a box of the evidence by its place; all of a concept's are equally strong.
pub fn rank(place: usize, concept: bool) -> Rgb<u8> {
    if place == 0 || concept { FIRST } else { OTHER }
}

/// A half-open rectangle of pixels that may reach beyond the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rect {
    pub x1: i64,
    pub y1: i64,
    pub x2: i64,
    pub y2: i64,
}

impl Rect {
    /// From the upper left corner and the size.
    pub fn new(x1: i64, y1: i64, width: i64, height: i64) -> Self {
        Self {
            x1,
            y1,
            x2: x1 + width,
            y2: y1 + height,
        }
    }

    /// All of an image.
    pub fn of(image: &RgbImage) -> Self {
        Self::new(0, 0, image.width().into(), image.height().into())
    }

    pub fn width(&self) -> i64 {
        self.x2 - self.x1
    }

    pub fn height(&self) -> i64 {
        self.y2 - self.y1
    }

    /// The rectangle with every side moved outwards.
    pub fn grown(&self, by: i64) -> Self {
        Self {
            x1: self.x1 - by,
            y1: self.y1 - by,
            x2: self.x2 + by,
            y2: self.y2 + by,
        }
    }

    /// Whether the other lies wholly in this one.
    pub fn contains(&self, other: &Self) -> bool {
        self.x1 <= other.x1 && self.y1 <= other.y1 && other.x2 <= self.x2 && other.y2 <= self.y2
    }

    /// The pixel in the middle.
    pub fn centre(&self) -> (i64, i64) {
        ((self.x1 + self.x2) / 2, (self.y1 + self.y2) / 2)
    }

    /// The pixel of the rectangle that is nearest to another.
    pub fn nearest(&self, (x, y): (i64, i64)) -> (i64, i64) {
        (x.clamp(self.x1, self.x2 - 1), y.clamp(self.y1, self.y2 - 1))
    }

    /// Pixels both hold.
    pub fn overlap(&self, other: &Self) -> i64 {
        let width = self.x2.min(other.x2) - self.x1.max(other.x1);
        let height = self.y2.min(other.y2) - self.y1.max(other.y1);
        width.max(0) * height.max(0)
    }

    /// Pixels between the two, along the axis on which they are further apart.
    pub fn gap(&self, other: &Self) -> i64 {
        let x = (self.x1 - other.x2).max(other.x1 - self.x2);
        let y = (self.y1 - other.y2).max(other.y1 - self.y2);
        x.max(y).max(0)
    }
}

/// Moves a pixel towards a colour; nothing outside the image.
pub fn blend(image: &mut RgbImage, x: i64, y: i64, colour: Rgb<u8>, share: f32) {
    let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y)) else {
        return;
    };
    if let Some(pixel) = image.get_pixel_mut_checked(x, y) {
        *pixel = mix(*pixel, colour, share);
    }
}

/// `share` of one colour over another.
pub fn mix(under: Rgb<u8>, over: Rgb<u8>, share: f32) -> Rgb<u8> {
    let channel = |i: usize| {
        let (under, over) = (f32::from(under.0[i]), f32::from(over.0[i]));
        (under + (over - under) * share).round() as u8
    };
    Rgb([channel(0), channel(1), channel(2)])
}

/// Fills a rectangle.
pub fn fill(image: &mut RgbImage, rect: Rect, colour: Rgb<u8>, share: f32) {
    let whole = Rect::of(image);
    for y in rect.y1.max(whole.y1)..rect.y2.min(whole.y2) {
        for x in rect.x1.max(whole.x1)..rect.x2.min(whole.x2) {
            blend(image, x, y, colour, share);
        }
    }
}

/// Draws the frame between a rectangle and its inset by `width`.
pub fn frame(image: &mut RgbImage, rect: Rect, width: i64, colour: Rgb<u8>, share: f32) {
    if rect.width() <= 2 * width || rect.height() <= 2 * width {
        return fill(image, rect, colour, share);
    }
    let (across, down) = (rect.width(), rect.height() - 2 * width);
    for strip in [
        Rect::new(rect.x1, rect.y1, across, width),
        Rect::new(rect.x1, rect.y2 - width, across, width),
        Rect::new(rect.x1, rect.y1 + width, width, down),
        Rect::new(rect.x2 - width, rect.y1 + width, width, down),
    ] {
        fill(image, strip, colour, share);
    }
}

/// Draws a straight line with a square pen.
pub fn line(image: &mut RgbImage, from: (i64, i64), to: (i64, i64), width: i64, colour: Rgb<u8>) {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let steps = dx.abs().max(dy.abs()).max(1);
    for i in 0..=steps {
        let (x, y) = (from.0 + dx * i / steps, from.1 + dy * i / steps);
        let pen = Rect::new(x - width / 2, y - width / 2, width, width);
        fill(image, pen, colour, 1.0);
    }
}
