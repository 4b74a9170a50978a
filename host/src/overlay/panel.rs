//! The panel beside the picture: what was chosen, and a bar for each concept.

use image::{Rgb, RgbImage};

use super::{
    concepts::colour,
    paint::{self, Rect},
    text::{Text, decimals},
};
use crate::evidence::{Weighed, letter};

/// Width in heights of the text.
const WIDTH: f32 = 27.0;

/// Draws the panel, as high as it needs. `notes`: whether the caption has any.
pub fn draw(text_size: f32, concepts: &Weighed<'_>, notes: bool) -> RgbImage {
    let layout = Layout::new(text_size, concepts);
    let rows = layout.rows(notes);
    let height = layout.line + rows.iter().map(|row| row.height).sum::<i64>();
    let mut panel = RgbImage::from_pixel(layout.width as u32, height as u32, paint::PAGE);
    let mut top = layout.line / 2;
    for row in rows {
        layout.draw(&mut panel, &row, top);
        top += row.height;
    }
    panel
}

/// Columns and faces.
struct Layout<'a> {
    concepts: &'a Weighed<'a>,
    regular: Text,
    bold: Text,
    title: Text,
    line: i64,
    width: i64,
    /// Left edges of tag, name and bar; right edges of bar and value.
    tag: i64,
    name: i64,
    bar: i64,
    bar_end: i64,
    value_end: i64,
}

impl<'a> Layout<'a> {
    fn new(text_size: f32, concepts: &'a Weighed<'a>) -> Self {
        let (regular, bold) = (Text::regular(text_size), Text::bold(text_size));
        let line = regular.line_height();
        let width = (text_size * WIDTH) as i64;
        let widest = |text: &dyn Fn(usize) -> String| {
            let widths = concepts.listed().map(|at| bold.width(&text(at)));
            widths.max().unwrap_or(0)
        };
        let tag = line;
        let name = tag + widest(&letter) + line;
        let value_end = width - line;
        let bar_end = value_end - widest(&|at| decimals(concepts.concepts[at].delta)) - line / 2;
        let names = widest(&|at| concepts.concepts[at].name.to_owned());
        Self {
            concepts,
            regular,
            bold,
            title: Text::bold(text_size * 1.25),
            line,
            width,
            tag,
            name,
            bar: name + names.min((bar_end - name) * 3 / 5) + line / 2,
            bar_end,
            value_end,
        }
    }

    /// The column a Delta ends at.
    fn at(&self, delta: f64) -> i64 {
        let length = (self.bar_end - self.bar) as f64 * self.concepts.length(delta);
        self.bar + length.round() as i64
    }
}

/// A line of the panel.
struct Row {
    height: i64,
    content: Content,
}

enum Content {
    Text(Text, Rgb<u8>, String),
    /// What must be seen first.
    Alarm(&'static str),
    /// The concept at a place.
    Bar(usize),
    Gap,
}

impl Layout<'_> {
    fn rows(&self, notes: bool) -> Vec<Row> {
        let concepts = self.concepts;
        let (regular, faint) = (self.regular, paint::FAINT);
        let gap = || vec![self.row(0.5, Content::Gap)];
        let listed: Vec<_> = concepts.listed().collect();
        let more = concepts.concepts.len() - listed.len();

        let mut rows = Vec::new();
        if !concepts.reliable {
            let says = if notes {
                "Not reliable: see the notes below"
            } else {
                "Not reliable"
            };
            rows.push(self.row(1.75, Content::Alarm(says)));
            rows.extend(gap());
        }
        if concepts.fallback {
            rows.extend(self.text(self.title, paint::INK, "No concept dominates:"));
            rows.extend(self.text(self.title, paint::FIRST, "the whole image"));
            rows.extend(gap());
        } else if let Some(chosen) = concepts.chosen {
            rows.extend(self.text(regular, faint, "Evidence"));
            rows.extend(self.text(self.title, paint::FIRST, chosen));
            rows.extend(gap());
        }
        rows.extend(self.text(
            regular,
            faint,
            "Δ: the log-probability that the answer loses without a concept",
        ));
        rows.extend(gap());
        rows.extend(
            listed
                .into_iter()
                .map(|at| self.row(1.25, Content::Bar(at))),
        );
        if more > 0 {
            rows.extend(self.text(regular, faint, &format!("and {more} more")));
        }
        for note in [concepts.rule(), concepts.rejection()].iter().flatten() {
            rows.extend(gap());
            rows.extend(self.text(regular, faint, note));
        }
        if let Some(threshold) = concepts.threshold {
            rows.extend(gap());
            let says = format!(
                "Dashed line: a concept dominates from Δ {}",
                decimals(threshold)
            );
            rows.extend(self.text(regular, faint, &says));
        }
        rows
    }

    fn row(&self, lines: f64, content: Content) -> Row {
        let height = (self.line as f64 * lines) as i64;
        Row { height, content }
    }

    fn text(&self, face: Text, colour: Rgb<u8>, words: &str) -> Vec<Row> {
        let lines = face.wrap(words, self.value_end - self.tag, 4);
        let rows = lines.into_iter().map(|line| Row {
            height: face.line_height(),
            content: Content::Text(face, colour, line),
        });
        rows.collect()
    }

    fn draw(&self, panel: &mut RgbImage, row: &Row, top: i64) {
        match &row.content {
            Content::Text(face, colour, words) => face.draw(panel, (self.tag, top), *colour, words),
            Content::Alarm(words) => {
                let width = self.value_end - self.tag;
                paint::fill(
                    panel,
                    Rect::new(self.tag, top, width, row.height),
                    paint::ALERT,
                    1.0,
                );
                let words = self.bold.clip(words, width - self.line);
                let corner = (self.tag + self.line / 2, top + (row.height - self.line) / 2);
                self.bold.draw(panel, corner, paint::DARK, &words);
            }
            Content::Bar(at) => self.draw_bar(panel, *at, row.height, top),
            Content::Gap => {}
        }
    }

    fn draw_bar(&self, panel: &mut RgbImage, at: usize, height: i64, top: i64) {
        let concept = &self.concepts.concepts[at];
        let colour = colour(self.concepts, at);
        let won = self.concepts.winner == Some(at);
        let (face, ink) = if won {
            (self.bold, paint::FIRST)
        } else {
            (self.regular, paint::INK)
        };
        if won {
            let (left, right) = (self.tag - self.line / 4, self.value_end + self.line / 4);
            paint::fill(
                panel,
                Rect::new(left, top, right - left, height),
                colour,
                0.16,
            );
        }
        let text_top = top + (height - self.line) / 2;

        let tag = letter(at);
        let size = self.line * 9 / 10;
        let width = (self.bold.width(&tag) + self.line / 3).max(size);
        let box_top = top + (height - size) / 2;
        paint::fill(
            panel,
            Rect::new(self.tag, box_top, width, size),
            colour,
            1.0,
        );
        let left = self.tag + (width - self.bold.width(&tag)) / 2;
        self.bold.draw(panel, (left, text_top), paint::DARK, &tag);

        let name = face.clip(concept.name, self.bar - self.name - self.line / 2);
        face.draw(panel, (self.name, text_top), ink, &name);

        let thick = height / 2;
        let bar_top = top + (height - thick) / 2;
        let (track, length) = (self.bar_end - self.bar, self.at(concept.delta) - self.bar);
        paint::fill(
            panel,
            Rect::new(self.bar, bar_top, track, thick),
            paint::INK,
            0.08,
        );
        paint::fill(
            panel,
            Rect::new(self.bar, bar_top, length, thick),
            colour,
            1.0,
        );
        if let Some(threshold) = self.concepts.threshold {
            let x = self.at(threshold);
            // Two dashes a row, so that they are evenly spaced over the rows.
            for dash in 0..2 {
                let y = top + dash * height / 2;
                paint::fill(panel, Rect::new(x - 1, y, 2, height / 3), paint::INK, 1.0);
            }
        }

        let value = decimals(concept.delta);
        let left = self.value_end - face.width(&value);
        face.draw(panel, (left, text_top), ink, &value);
    }
}
