//! Boxes with their labels.

use image::{Rgb, RgbImage};

use super::{
    NativeBox, Overlay,
    paint::{self, Rect},
    text::{Text, number},
};

/// Draws the boxes, the strongest on top, then a label for each: inside the picture, clear of the
/// other labels, and as near to its box and as clear of all boxes as there is room.
pub fn draw(picture: &mut RgbImage, spec: &Overlay<'_>, text_size: f32) {
    let native = (spec.native.width(), spec.native.height());
    let size = picture.dimensions();
    let marks: Vec<Mark<'_>> = spec
        .boxes
        .iter()
        .enumerate()
        .filter_map(|(index, shown)| Mark::new(index + 1, shown, native, size))
        .collect();
    let line = if size.0.max(size.1) > 1280 { 3 } else { 2 };
    for mark in marks.iter().rev() {
        mark.outline(picture, line);
    }
    let text = Text::bold(text_size * 0.85);
    let labels = labels(&marks, &text, Rect::of(picture));
    for label in &labels {
        label.draw_leader(picture);
    }
    for label in &labels {
        label.draw(picture, &text);
    }
}

fn labels<'a>(marks: &'a [Mark<'a>], text: &Text, picture: Rect) -> Vec<Label<'a>> {
    let mut labels: Vec<Label<'_>> = Vec::new();
    for mark in marks {
        let taken: Vec<Rect> = labels.iter().map(|label| label.rect).collect();
        labels.extend(mark.label(text, picture, marks, &taken));
    }
    labels
}

/// A box in the picture's pixels.
struct Mark<'a> {
    rank: usize,
    shown: &'a NativeBox,
    rect: Rect,
}

impl<'a> Mark<'a> {
    fn new(
        rank: usize,
        shown: &'a NativeBox,
        native: (u32, u32),
        size: (u32, u32),
    ) -> Option<Self> {
        let [x1, y1, x2, y2] = shown.bbox.clip(native.0, native.1)?.corners();
        let x = |x: u32| i64::from(x) * i64::from(size.0) / i64::from(native.0);
        let y = |y: u32| i64::from(y) * i64::from(size.1) / i64::from(native.1);
        let (left, top) = (x(x1), y(y1));
        Some(Self {
            rank,
            shown,
            // A box that the reduced picture cannot resolve is still one pixel.
            rect: Rect {
                x1: left,
                y1: top,
                x2: x(x2).max(left + 1),
                y2: y(y2).max(top + 1),
            },
        })
    }

    fn colour(&self) -> Rgb<u8> {
        if self.rank == 1 {
            paint::FIRST
        } else {
            paint::OTHER
        }
    }

    /// A line just inside the box, between dark lines that set it off from bright bone and heat.
    fn outline(&self, picture: &mut RgbImage, line: i64) {
        paint::frame(picture, self.rect.grown(1), line + 2, paint::DARK, 0.7);
        paint::frame(picture, self.rect, line, self.colour(), 1.0);
    }

    /// The label: as many words as there is room for, if any.
    fn label<'m>(
        &'m self,
        text: &Text,
        picture: Rect,
        marks: &[Mark<'_>],
        taken: &[Rect],
    ) -> Option<Label<'m>> {
        let score = number(self.shown.score);
        let full = self.shown.label.as_ref().map(|label| {
            let label = text.clip(label, picture.width() / 3);
            format!("{} · {label} · {score}", self.rank)
        });
        let short = format!("{} · {score}", self.rank);
        (full.into_iter().chain([short, self.rank.to_string()])).find_map(|words| {
            let size = (text.width(&words) + 2 * padding(text), text.line_height());
            let rect = self.best_place(size, picture, marks, taken)?;
            Some(Label {
                mark: self,
                rect,
                words,
            })
        })
    }

    /// The best of the places around the box and of a grid over the whole picture.
    fn best_place(
        &self,
        (width, height): (i64, i64),
        picture: Rect,
        marks: &[Mark<'_>],
        taken: &[Rect],
    ) -> Option<Rect> {
        let Rect { x1, y1, x2, y2 } = self.rect;
        let (right, bottom) = (x2 - width, y2 - height);
        let around = [
            (x1, y1 - height),
            (x1, y2),
            (right, y1 - height),
            (right, y2),
            (x2, y1),
            (x1 - width, y1),
            (x2, bottom),
            (x1 - width, bottom),
            (x1, y1),
            (x1, bottom),
            (right, y1),
            (right, bottom),
        ];
        let step = (height as usize).div_ceil(2);
        let rows = (0..=picture.height() - height).step_by(step);
        let grid = rows.flat_map(|y| {
            let columns = (0..=picture.width() - width).step_by(step);
            columns.map(move |x| (x, y))
        });
        around
            .into_iter()
            .chain(grid)
            .map(|(x, y)| {
                // A place that sticks out of the picture is moved in.
                let x = x.min(picture.x2 - width).max(picture.x1);
                let y = y.min(picture.y2 - height).max(picture.y1);
                Rect::new(x, y, width, height)
            })
            .filter(|place| picture.contains(place))
            .filter(|place| taken.iter().all(|label| label.grown(2).overlap(place) == 0))
            .min_by_key(|place| {
                // To hide a box is as bad as to be four lines of text away.
                let hidden: i64 = (marks.iter().map(|mark| mark.rect))
                    .map(|rect| 4000 * rect.overlap(place) / (rect.width() * rect.height()))
                    .sum();
                hidden + 1000 * place.gap(&self.rect) / height
            })
    }
}

/// The words at a box.
struct Label<'a> {
    mark: &'a Mark<'a>,
    rect: Rect,
    words: String,
}

impl Label<'_> {
    /// A line to the box, where the label had to go elsewhere.
    fn draw_leader(&self, picture: &mut RgbImage) {
        let target = self.mark.rect;
        if self.rect.gap(&target) * 3 < self.rect.height() {
            return;
        }
        let from = self.rect.nearest(target.centre());
        let to = target.nearest(from);
        paint::line(picture, from, to, 3, paint::DARK);
        paint::line(picture, from, to, 1, self.mark.colour());
    }

    fn draw(&self, picture: &mut RgbImage, text: &Text) {
        paint::fill(picture, self.rect, self.mark.colour(), 1.0);
        let corner = (self.rect.x1 + padding(text), self.rect.y1);
        text.draw(picture, corner, paint::DARK, &self.words);
    }
}

fn padding(text: &Text) -> i64 {
    text.line_height() / 4
}

#[cfg(test)]
mod tests {
    use super::*;
    use medfocus_plugin_api::BBox;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn labels_stay_in_the_picture_and_apart(
            width in 1u32..1200, height in 1u32..1200,
            boxes in prop::collection::vec((0.0f64..1.0, 0.0f64..1.0, 0.0f64..1.0, 0.0f64..1.0), 0..12),
            name in proptest::option::of("[a-z ]{0,40}"),
        ) {
            let edges = |a: f64, b: f64, size: u32| {
                let low = (a.min(b) * f64::from(size - 1)) as u32;
                (low, (a.max(b) * f64::from(size - 1)) as u32 + 1)
            };
            let boxes: Vec<_> = boxes
                .into_iter()
                .map(|(a, b, c, d)| {
                    let ((x1, x2), (y1, y2)) = (edges(a, b, width), edges(c, d, height));
                    let bbox = BBox::new(x1, y1, x2, y2).unwrap();
                    NativeBox { bbox, score: a, label: name.clone() }
                })
                .collect();
            let size = (width, height);
            let marks: Vec<_> = boxes
                .iter()
                .enumerate()
                .filter_map(|(i, shown)| Mark::new(i + 1, shown, size, size))
                .collect();
            let picture = Rect::new(0, 0, width.into(), height.into());
            let labels = labels(&marks, &Text::bold(16.0), picture);
            for (i, label) in labels.iter().enumerate() {
                prop_assert!(picture.contains(&label.rect));
                for other in &labels[..i] {
                    prop_assert_eq!(label.rect.overlap(&other.rect), 0);
                }
            }
            // Twelve short labels of some 60 x 20 pixels always find room here.
            if width.min(height) >= 300 {
                prop_assert_eq!(labels.len(), boxes.len());
            }
        }
    }
}
