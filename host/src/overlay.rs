//! The picture that shows a result: the X-ray, the evidence on it, and a caption underneath.

mod annotation;
mod banner;
mod caption;
mod concepts;
mod heat;
pub mod layer;
mod marks;
mod paint;
mod panel;
mod region;
pub mod sheet;
#[cfg(test)]
mod tests;
mod text;
mod thumbnail;

use image::{GrayImage as Grey, Rgb, RgbImage, imageops};
use medfocus_plugin_api::{
    BBox, GrayImage, HeatMap, Letterbox, Mask, Native, WORKING_SIDE, heat::upsample,
};
use ndarray::{Array2, ArrayView2, s};

use crate::evidence::{NO_CONCEPT, WHOLE_IMAGE, Weighed};
pub use annotation::annotated;
pub use banner::headed;
use caption::Row;
use marks::Mark;
use paint::Rect;
use text::{Text, number};
pub use thumbnail::{Thumbnail, thumbnail};

/// What to draw.
#[derive(Clone, Copy, Debug)]
pub struct Overlay<'a> {
    /// The image as it was read.
    pub native: &'a GrayImage,
    /// How it lies in the working image, where the heat is.
    pub letterbox: &'a Letterbox,
    /// The evidence as a map; its colours run from zero to its own maximum. It is not drawn where there are concepts.
    pub heat: Option<&'a HeatMap>,
    /// The evidence as a region of the working image; it is drawn where no heat is.
    pub mask: Option<&'a Mask>,
    /// The concepts that were weighed, if the method weighs any.
    pub concepts: Option<&'a Weighed<'a>>,
    /// The evidence as boxes, the strongest first; their order is their rank.
    pub boxes: &'a [NativeBox],
    /// The question that was asked.
    pub question: &'a str,
    /// The answer that is explained.
    pub answer: &'a str,
    /// Name of the attribution method.
    pub method: &'a str,
    /// Name of the model.
    pub model: &'a str,
    /// Whatever else the reader of the picture must know: warnings, a fallback.
    pub notes: &'a [String],
}

/// A box to draw.
#[derive(Clone, Debug, PartialEq)]
pub struct NativeBox {
    /// Where; parts outside the image are not drawn.
    pub bbox: BBox<Native>,
    /// How strong, on the method's own scale.
    pub score: f64,
    /// What it is, where the method says.
    pub label: Option<String>,
}

/// Draws the picture.
///
/// The X-ray keeps its native size where its longer side has 768 to 2048 pixels; a smaller one is
/// enlarged by the smallest integer factor that reaches 768, a larger one reduced to 2048. It is
/// centred where the caption needs more width. Pixels without heat, region, box or label keep their grey
/// value exactly. The same input gives the same bytes.
///
/// Where a method weighs concepts, one thing is shown: the evidence, as a region with a contour and its boxes. The others are
/// thin boxes with a letter, and a panel beside the X-ray has a bar for each. Where no concept dominates nothing is tinted.
pub fn render(spec: &Overlay<'_>) -> RgbImage {
    let mut picture = enlarge(spec.native);
    let text_size = text_size(picture.width().max(MIN_WIDTH));
    let line = line(picture.dimensions());
    let shown = Shown::of(spec.heat, spec.mask, spec.concepts);
    let peak = shown.draw(&mut picture, spec.letterbox, line);
    let marks = marks(spec, picture.dimensions(), text_size, line);
    marks::draw(&mut picture, &marks, text_size);

    let picture = match spec.concepts {
        Some(concepts) => beside(
            picture,
            panel::draw(text_size, concepts, !spec.notes.is_empty()),
        ),
        None => picture,
    };
    page(picture, text_size, &rows(spec, peak))
}

/// The concepts' colours as a style sheet: `.hue-0` to `.hue-5` set this property.
pub fn hues(property: &str) -> String {
    let hue = |(at, colour): (usize, &Rgb<u8>)| {
        let [red, green, blue] = colour.0;
        format!(".hue-{at} {{ {property}: #{red:02x}{green:02x}{blue:02x}; }}\n")
    };
    paint::CONCEPTS.iter().enumerate().map(hue).collect()
}

/// The picture over its caption.
fn page(picture: RgbImage, text_size: f32, rows: &[Row<'_>]) -> RgbImage {
    let width = picture.width().max(MIN_WIDTH);
    let caption = caption::draw(width, text_size, rows);
    let mut page = RgbImage::from_pixel(width, picture.height() + caption.height(), paint::PAGE);
    let left = (width - picture.width()) / 2;
    imageops::replace(&mut page, &picture, i64::from(left), 0);
    imageops::replace(&mut page, &caption, 0, i64::from(picture.height()));
    page
}

/// Pixels of a line on a picture.
fn line((width, height): (u32, u32)) -> i64 {
    let large = width.max(height) > 1280;
    if large { 4 } else { 2 }
}

/// What lies on the picture beneath the boxes.
#[derive(Clone, Copy)]
enum Shown<'a> {
    Heat(&'a HeatMap),
    Region(&'a Mask),
    Nothing,
}

impl<'a> Shown<'a> {
    /// One message a picture: the chosen concept's region and no heat, which would say again what the bars say; nothing
    /// if the evidence is the whole image.
    fn of(
        heat: Option<&'a HeatMap>,
        mask: Option<&'a Mask>,
        concepts: Option<&Weighed<'_>>,
    ) -> Self {
        match (concepts, heat, mask) {
            (Some(concepts), ..) if concepts.fallback => Self::Nothing,
            (None, Some(heat), _) => Self::Heat(heat),
            (_, _, Some(mask)) => Self::Region(mask),
            (_, _, None) => Self::Nothing,
        }
    }

    /// Boxes of a region are thinner than its contour.
    fn box_line(self, line: i64) -> i64 {
        match self {
            Self::Region(_) => (line / 2).max(1),
            Self::Heat(_) | Self::Nothing => line,
        }
    }

    /// Returns the strongest heat that was drawn.
    fn draw(self, picture: &mut RgbImage, letterbox: &Letterbox, line: i64) -> f32 {
        match self {
            Self::Heat(map) => return heat::blend(picture, map, letterbox),
            Self::Region(mask) => region::draw(picture, mask, letterbox, paint::FIRST, line),
            Self::Nothing => {}
        }
        0.0
    }
}

/// A map of the working frame at the pixels of a picture of this size that shows exactly the content of the letterbox, so
/// that their pixel centres align; nothing if it has another frame.
fn onto(
    (width, height): (u32, u32),
    map: ArrayView2<'_, f32>,
    letterbox: &Letterbox,
) -> Option<Array2<f32>> {
    let side = WORKING_SIDE as usize;
    let content = letterbox.content().clip(WORKING_SIDE, WORKING_SIDE)?;
    let [x1, y1, x2, y2] = content.corners().map(|c| c as usize);
    (map.dim() == (side, side)).then(|| {
        let content = map.slice(s![y1..y2, x1..x2]);
        upsample(content, height as usize, width as usize)
    })
}

/// The boxes: the evidence's, then those of other concepts.
fn marks(spec: &Overlay<'_>, size: (u32, u32), text_size: f32, line: i64) -> Vec<Mark> {
    let text = Text::bold(text_size);
    let shown = Shown::of(spec.heat, spec.mask, spec.concepts);
    let (line, thin) = (shown.box_line(line), line / 2);
    let place =
        |bbox: &BBox<Native>| placed(bbox, (spec.native.width(), spec.native.height()), size);
    let evidence = spec.boxes.iter().enumerate().filter_map(|(at, found)| {
        let label = found.label.as_ref();
        let label = label.map(|label| text.clip(label, i64::from(size.0) / 3));
        Some(Mark {
            rect: place(&found.bbox)?,
            colour: paint::rank(at, spec.concepts.is_some()),
            line,
            words: match spec.concepts {
                Some(concepts) => concepts::words(concepts, label.as_deref()),
                None => ranked(at + 1, label, found.score),
            },
            faint: false,
        })
    });
    let others = spec.concepts.into_iter().flat_map(|concepts| {
        concepts::others(concepts, thin, |bbox| {
            place(&spec.letterbox.to_native(bbox)?)
        })
    });
    evidence.chain(others).collect()
}

/// What the label of a box may say that has a rank and a score.
fn ranked(rank: usize, label: Option<String>, score: f64) -> Vec<String> {
    let score = number(score);
    let full = label.map(|label| format!("{rank} · {label} · {score}"));
    let short = [format!("{rank} · {score}"), rank.to_string()];
    full.into_iter().chain(short).collect()
}

/// A native box in the picture's pixels.
fn placed(bbox: &BBox<Native>, native: (u32, u32), size: (u32, u32)) -> Option<Rect> {
    let [x1, y1, x2, y2] = bbox.clip(native.0, native.1)?.corners();
    let x = |x: u32| i64::from(x) * i64::from(size.0) / i64::from(native.0);
    let y = |y: u32| i64::from(y) * i64::from(size.1) / i64::from(native.1);
    let (left, top) = (x(x1), y(y1));
    // A box that the reduced picture cannot resolve is still one pixel.
    Some(Rect {
        x1: left,
        y1: top,
        x2: x(x2).max(left + 1),
        y2: y(y2).max(top + 1),
    })
}

/// Both, the second at the right.
fn beside(left: RgbImage, right: RgbImage) -> RgbImage {
    let height = left.height().max(right.height());
    let mut both = RgbImage::from_pixel(left.width() + right.width(), height, paint::PAGE);
    imageops::replace(&mut both, &left, 0, 0);
    imageops::replace(&mut both, &right, i64::from(left.width()), 0);
    both
}

/// A caption needs this many columns to be read.
const MIN_WIDTH: u32 = 640;

/// Height of the text on a page of the given width, in pixels.
fn text_size(width: u32) -> f32 {
    (width as f32 / 48.0).clamp(16.0, 32.0)
}

fn rows<'a>(spec: &Overlay<'a>, peak: f32) -> Vec<Row<'a>> {
    let mut rows = vec![
        Row::text("Question", spec.question),
        Row::text("Answer", spec.answer),
        Row::text("Method", spec.method),
        Row::text("Model", spec.model),
        evidence(spec, peak),
    ];
    if peak > 0.0 {
        rows.push(Row::scale("Heat", peak));
    }
    rows.extend(
        spec.notes
            .iter()
            .map(|note| Row::alert("Note", note.as_str())),
    );
    rows
}

fn evidence<'a>(spec: &Overlay<'a>, peak: f32) -> Row<'a> {
    let chosen = spec.concepts.and_then(|concepts| concepts.chosen);
    match (chosen, spec.boxes.len()) {
        (Some(WHOLE_IMAGE), _) => Row::text("Evidence", NO_CONCEPT),
        (Some(chosen), _) => Row::text("Evidence", chosen),
        (None, 0) if peak > 0.0 => Row::text("Evidence", "heat only, no boxes"),
        (None, 0) => Row::alert("Evidence", "no evidence found"),
        (None, 1) => Row::text("Evidence", "1 box"),
        (None, count) => Row::text("Evidence", format!("{count} boxes, strongest first")),
    }
}

/// The X-ray at the size it is drawn in.
fn enlarge(native: &GrayImage) -> RgbImage {
    let (width, height) = drawn_size(native.width(), native.height());
    let pixels = native.view();
    let grey = Grey::from_fn(native.width(), native.height(), |x, y| {
        image::Luma([pixels[(y as usize, x as usize)]])
    });
    let grey = if grey.dimensions() == (width, height) {
        grey
    } else {
        imageops::resize(&grey, width, height, imageops::FilterType::CatmullRom)
    };
    RgbImage::from_fn(width, height, |x, y| {
        image::Rgb([grey.get_pixel(x, y).0[0]; 3])
    })
}

/// Columns and rows of the picture for one column and row of an image of the given size.
pub fn scale(width: u32, height: u32) -> (f64, f64) {
    let (columns, rows) = drawn_size(width, height);
    let ratio = |drawn: u32, native: u32| f64::from(drawn) / f64::from(native);
    (ratio(columns, width), ratio(rows, height))
}

/// Columns and rows an image of the given size is drawn in.
fn drawn_size(width: u32, height: u32) -> (u32, u32) {
    const SMALL: u32 = 768;
    const LARGE: u32 = 2048;
    let longer = width.max(height);
    if longer > LARGE {
        let fit = |side: u32| {
            let side = f64::from(side) * f64::from(LARGE) / f64::from(longer);
            (side.round() as u32).max(1)
        };
        (fit(width), fit(height))
    } else {
        let factor = if longer < SMALL {
            SMALL.div_ceil(longer)
        } else {
            1
        };
        (width * factor, height * factor)
    }
}
