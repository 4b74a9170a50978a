//! The picture that shows a result: the X-ray, the evidence on it, and a caption underneath.

mod caption;
mod heat;
mod marks;
mod paint;
pub mod sheet;
#[cfg(test)]
mod tests;
mod text;
mod thumbnail;

use image::{GrayImage as Grey, RgbImage, imageops};
use medfocus_plugin_api::{BBox, GrayImage, HeatMap, Letterbox, Native};

use caption::Row;
pub use thumbnail::thumbnail;

/// What to draw.
#[derive(Clone, Copy, Debug)]
pub struct Overlay<'a> {
    /// The image as it was read.
    pub native: &'a GrayImage,
    /// How it lies in the working image, where the heat is.
    pub letterbox: &'a Letterbox,
    /// The evidence as a map; its colours run from zero to its own maximum.
    pub heat: Option<&'a HeatMap>,
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
/// centred where the caption needs more width. Pixels without heat, box or label keep their grey
/// value exactly. The same input gives the same bytes.
pub fn render(spec: &Overlay<'_>) -> RgbImage {
    let mut picture = enlarge(spec.native);
    let peak = spec
        .heat
        .map_or(0.0, |map| heat::blend(&mut picture, map, spec.letterbox));
    let width = picture.width().max(MIN_WIDTH);
    marks::draw(&mut picture, spec, text_size(width));

    let caption = caption::draw(width, text_size(width), &rows(spec, peak));
    let mut page = RgbImage::from_pixel(width, picture.height() + caption.height(), paint::PAGE);
    let left = (width - picture.width()) / 2;
    imageops::replace(&mut page, &picture, i64::from(left), 0);
    imageops::replace(&mut page, &caption, 0, i64::from(picture.height()));
    page
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
        match spec.boxes.len() {
            0 if peak > 0.0 => Row::text("Evidence", "heat only, no boxes"),
            0 => Row::alert("Evidence", "no evidence found"),
            1 => Row::text("Evidence", "1 box"),
            count => Row::text("Evidence", format!("{count} boxes, strongest first")),
        },
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
