//! Boxes with their labels.

use image::{Rgb, RgbImage};

use super::{
    paint::{self, Rect},
    text::Text,
};

/// A box to draw, in the picture's pixels.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// Where.
    pub rect: Rect,
    /// In which colour.
    pub colour: Rgb<u8>,
    /// How many pixels wide the line is.
    pub line: i64,
    /// What its label may say, from the longest text to the shortest; nothing is no label.
    pub words: Vec<String>,
    /// Whether it is there only for who looks for it: lines that let through, and a small label at the box or none.
    pub faint: bool,
}

/// Draws the boxes, the first on top, then a label for each: inside the picture, clear of the other labels, and as near to
/// its box and as clear of all boxes as there is room.
pub fn draw(picture: &mut RgbImage, marks: &[Mark], text_size: f32) {
    for mark in marks.iter().rev() {
        mark.outline(picture);
    }
    let faces = Faces::new(text_size);
    let labels = labels(marks, &faces, Rect::of(picture));
    for label in &labels {
        label.draw_leader(picture);
    }
    for label in &labels {
        label.draw(picture, faces.of(label.mark));
    }
}

/// What labels are written in.
struct Faces {
    strong: Text,
    faint: Text,
}

impl Faces {
    fn new(text_size: f32) -> Self {
        Self {
            strong: Text::bold(text_size * 0.85),
            faint: Text::bold(text_size * 0.7),
        }
    }

    fn of(&self, mark: &Mark) -> &Text {
        if mark.faint {
            &self.faint
        } else {
            &self.strong
        }
    }
}

fn labels<'a>(marks: &'a [Mark], faces: &Faces, picture: Rect) -> Vec<Label<'a>> {
    let mut labels: Vec<Label<'_>> = Vec::new();
    for mark in marks {
        let taken: Vec<Rect> = labels.iter().map(|label| label.rect).collect();
        labels.extend(mark.label(faces.of(mark), picture, marks, &taken));
    }
    labels
}

impl Mark {
    /// A line just inside the box, between dark lines that set it off from bright bone and heat.
    fn outline(&self, picture: &mut RgbImage) {
        let share = if self.faint {
            FAINT
        } else {
            paint::frame(picture, self.rect.grown(1), self.line + 2, paint::DARK, 0.7);
            1.0
        };
        paint::frame(picture, self.rect, self.line, self.colour, share);
    }

    /// The label: as many words as there is room for, if any.
    fn label(
        &self,
        text: &Text,
        picture: Rect,
        marks: &[Mark],
        taken: &[Rect],
    ) -> Option<Label<'_>> {
        self.words.iter().find_map(|words| {
            let size = (text.width(words) + 2 * padding(text), text.line_height());
            let rect = self.best_place(size, picture, marks, taken)?;
            Some(Label {
                mark: self,
                rect,
                words,
            })
        })
    }

    /// The best of the places around the box and, if it must be seen, of a grid over the whole picture.
    fn best_place(
        &self,
        (width, height): (i64, i64),
        picture: Rect,
        marks: &[Mark],
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
            .chain(grid.filter(|_| !self.faint))
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
    mark: &'a Mark,
    rect: Rect,
    words: &'a str,
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
        paint::line(picture, from, to, 1, self.mark.colour);
    }

    fn draw(&self, picture: &mut RgbImage, text: &Text) {
        paint::fill(picture, self.rect, self.mark.colour, 1.0);
        let corner = (self.rect.x1 + padding(text), self.rect.y1);
        text.draw(picture, corner, paint::DARK, self.words);
    }
}

/// How strongly a faint line covers what is beneath.
const FAINT: f32 = 0.6;

fn padding(text: &Text) -> i64 {
    text.line_height() / 4
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn labels_stay_in_the_picture_and_apart(
            width in 1u32..1200, height in 1u32..1200,
            boxes in prop::collection::vec((0.0f64..1.0, 0.0f64..1.0, 0.0f64..1.0, 0.0f64..1.0), 0..12),
            name in proptest::option::of("[a-z ]{0,40}"), faint in any::<bool>(),
        ) {
            let edges = |a: f64, b: f64, size: u32| {
                let low = (a.min(b) * f64::from(size - 1)) as u32;
                (low, (a.max(b) * f64::from(size - 1)) as u32 + 1)
            };
            let marks: Vec<_> = boxes
                .into_iter()
                .map(|(a, b, c, d)| {
                    let ((x1, x2), (y1, y2)) = (edges(a, b, width), edges(c, d, height));
                    let rect = Rect { x1: x1.into(), y1: y1.into(), x2: x2.into(), y2: y2.into() };
                    let words = name.iter().cloned().chain(["1 · 0.25".into(), "1".into()]);
                    Mark { rect, colour: paint::FIRST, line: 2, words: words.collect(), faint }
                })
                .collect();
            let picture = Rect::new(0, 0, width.into(), height.into());
            let labels = labels(&marks, &Faces::new(16.0), picture);
            for (i, label) in labels.iter().enumerate() {
                prop_assert!(picture.contains(&label.rect));
                if faint {
                    prop_assert_eq!(label.rect.gap(&label.mark.rect), 0, "or it would be taken for another's");
                }
                for other in &labels[..i] {
                    prop_assert_eq!(label.rect.overlap(&other.rect), 0);
                }
            }
            // Twelve short labels of some 60 x 20 pixels always find room here.
            if width.min(height) >= 300 && !faint {
                prop_assert_eq!(labels.len(), marks.len());
            }
        }
    }
}
