//! The caption strip under the picture: names on the left, what they are on the right.

use std::borrow::Cow;

use image::{Rgb, RgbImage};

use super::{
    heat,
    paint::{self, Rect},
    text::{Text, number},
};

/// Long answers are cut after this many lines.
const MAX_LINES: usize = 8;

/// One row of the caption.
pub struct Row<'a> {
    name: &'static str,
    content: Content<'a>,
}

enum Content<'a> {
    Text {
        text: Cow<'a, str>,
        colour: Rgb<u8>,
    },
    /// The heat's colours, up to this value.
    Scale(f32),
}

impl<'a> Row<'a> {
    /// Plain text.
    pub fn text(name: &'static str, text: impl Into<Cow<'a, str>>) -> Self {
        Self {
            name,
            content: Content::Text {
                text: text.into(),
                colour: paint::INK,
            },
        }
    }

    /// Text that must not be missed.
    pub fn alert(name: &'static str, text: impl Into<Cow<'a, str>>) -> Self {
        Self {
            name,
            content: Content::Text {
                text: text.into(),
                colour: paint::ALERT,
            },
        }
    }

    /// The colour bar from 0 to `peak`.
    pub fn scale(name: &'static str, peak: f32) -> Self {
        Self {
            name,
            content: Content::Scale(peak),
        }
    }
}

/// Draws the strip, `width` pixels wide and as high as its rows need.
pub fn draw(width: u32, text_size: f32, rows: &[Row<'_>]) -> RgbImage {
    let text = Text::regular(text_size);
    let margin = text.line_height();
    let names = rows.iter().map(|row| text.width(row.name)).max();
    let left = margin + names.unwrap_or(0) + margin;
    let room = i64::from(width) - left - margin;

    let lines: Vec<Vec<String>> = rows
        .iter()
        .map(|row| match &row.content {
            Content::Text { text: content, .. } => text.wrap(content, room, MAX_LINES),
            Content::Scale(_) => Vec::new(),
        })
        .collect();
    let row_gap = text.line_height() / 4;
    let height = |lines: &Vec<String>| lines.len().max(1) as i64 * text.line_height() + row_gap;
    let total: i64 = lines.iter().map(height).sum::<i64>() - row_gap + 2 * margin;

    let mut strip = RgbImage::from_pixel(width, total as u32, paint::PAGE);
    let mut top = margin;
    for (row, lines) in rows.iter().zip(&lines) {
        text.draw(&mut strip, (margin, top), paint::FAINT, row.name);
        match row.content {
            Content::Text { colour, .. } => {
                for (i, line) in lines.iter().enumerate() {
                    let y = top + i as i64 * text.line_height();
                    text.draw(&mut strip, (left, y), colour, line);
                }
            }
            Content::Scale(peak) => scale(&mut strip, &text, (left, top), room, peak),
        }
        top += height(lines);
    }
    strip
}

fn scale(strip: &mut RgbImage, text: &Text, (x, y): (i64, i64), room: i64, peak: f32) {
    let gap = text.line_height() / 2;
    let zero = text.width("0");
    text.draw(strip, (x, y), paint::INK, "0");
    let thickness = text.line_height() * 3 / 5;
    let length = (room / 2).max(2);
    let bar = Rect::new(
        x + zero + gap,
        y + (text.line_height() - thickness) / 2,
        length,
        thickness,
    );
    for i in 0..length {
        let colour = heat::colour(i as f32 / (length - 1) as f32);
        paint::fill(
            strip,
            Rect::new(bar.x1 + i, bar.y1, 1, thickness),
            colour,
            1.0,
        );
    }
    text.draw(strip, (bar.x2 + gap, y), paint::INK, &number(peak.into()));
}
