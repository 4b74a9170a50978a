//! Text: measured, wrapped, drawn. Noto Sans, whose licence (OFL) allows embedding.

use std::sync::LazyLock;

use ab_glyph::{Font, FontRef, GlyphId, PxScale, ScaleFont, point};
use image::{Rgb, RgbImage};

use super::paint;

static REGULAR: LazyLock<FontRef<'static>> = LazyLock::new(|| font(notosans::REGULAR_TTF));
static BOLD: LazyLock<FontRef<'static>> = LazyLock::new(|| font(notosans::BOLD_TTF));

fn font(bytes: &'static [u8]) -> FontRef<'static> {
    FontRef::try_from_slice(bytes).expect("the embedded font is a font")
}

/// A face at a size. A character the font lacks is drawn as the font's empty box.
#[derive(Clone, Copy)]
pub struct Text {
    font: &'static FontRef<'static>,
    scale: PxScale,
}

impl Text {
    /// Upright text, `size` pixels high.
    pub fn regular(size: f32) -> Self {
        Self {
            font: &REGULAR,
            scale: PxScale::from(size),
        }
    }

    /// Bold text, `size` pixels high.
    pub fn bold(size: f32) -> Self {
        Self {
            font: &BOLD,
            scale: PxScale::from(size),
        }
    }

    /// Pixels from one baseline to the next.
    pub fn line_height(&self) -> i64 {
        (self.scale.y * 1.25).ceil() as i64
    }

    /// Pixels a line of text takes.
    pub fn width(&self, text: &str) -> i64 {
        let end = self.glyphs(text).last().map_or(0.0, |glyph| glyph.end);
        end.ceil() as i64
    }

    /// The text on one line: cut short with an ellipsis if it is wider than `width`.
    pub fn clip(&self, text: &str, width: i64) -> String {
        let text = plain(text);
        if self.fitting(&text, width) == text.len() {
            return text;
        }
        let kept = self.fitting(&text, width - self.width("…"));
        format!("{}…", text[..kept].trim_end())
    }

    /// The text in lines of at most `width` pixels, broken between words where possible; the last
    /// of at most `limit` lines is cut short.
    pub fn wrap(&self, text: &str, width: i64, limit: usize) -> Vec<String> {
        let text = plain(text);
        let mut rest = text.as_str();
        let mut lines = Vec::new();
        while !rest.is_empty() {
            if lines.len() + 1 >= limit {
                lines.push(self.clip(rest, width));
                break;
            }
            let first = rest.chars().next().map_or(0, char::len_utf8);
            let fitting = self.fitting(rest, width).max(first);
            let end = if fitting == rest.len() || rest[fitting..].starts_with(' ') {
                fitting
            } else {
                rest[..fitting].rfind(' ').unwrap_or(fitting)
            };
            lines.push(rest[..end].to_owned());
            rest = rest[end..].trim_start();
        }
        lines
    }

    /// Draws a line whose box begins at (x, y).
    pub fn draw(&self, image: &mut RgbImage, (x, y): (i64, i64), colour: Rgb<u8>, text: &str) {
        let scaled = self.font.as_scaled(self.scale);
        let slack = self.line_height() as f32 - scaled.height();
        let baseline = (slack / 2.0 + scaled.ascent()).round();
        for Placed { id, start, .. } in self.glyphs(&plain(text)) {
            let glyph = id.with_scale_and_position(self.scale, point(start, baseline));
            let Some(outline) = self.font.outline_glyph(glyph) else {
                continue;
            };
            let corner = outline.px_bounds().min;
            let (left, top) = (x + corner.x as i64, y + corner.y as i64);
            outline.draw(|dx, dy, share| {
                let (x, y) = (left + i64::from(dx), top + i64::from(dy));
                paint::blend(image, x, y, colour, share.clamp(0.0, 1.0));
            });
        }
    }

    /// Bytes of the longest beginning that is no wider than `width`.
    fn fitting(&self, text: &str, width: i64) -> usize {
        text.char_indices()
            .zip(self.glyphs(text))
            .find(|(_, glyph)| glyph.end > width as f32)
            .map_or(text.len(), |((at, _), _)| at)
    }

    fn glyphs(&self, text: &str) -> impl Iterator<Item = Placed> {
        let scaled = self.font.as_scaled(self.scale);
        let (mut end, mut previous) = (0.0, None);
        text.chars().map(move |c| {
            let id = self.font.glyph_id(c);
            let start = end + previous.map_or(0.0, |previous| scaled.kern(previous, id));
            end = start + scaled.h_advance(id);
            previous = Some(id);
            Placed { id, start, end }
        })
    }
}

/// A glyph and the columns from its origin to the next one's.
struct Placed {
    id: GlyphId,
    start: f32,
    end: f32,
}

/// One line without what is not drawn: any white space is one space, control characters are none.
fn plain(text: &str) -> String {
    let words: Vec<String> = text
        .split_whitespace()
        .map(|word| word.chars().filter(|c| !c.is_control()).collect())
        .collect();
    words.join(" ")
}

/// A number as a reader wants it: three digits, with an exponent where it is tiny or huge.
pub fn number(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 {
        "0".into()
    } else if !(1e-3..1e4).contains(&size) {
        format!("{value:.2e}")
    } else if size < 10.0 {
        format!("{value:.2}")
    } else if size < 100.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    }
}

/// A number of a column: two decimals, as long as that is short.
pub fn decimals(value: f64) -> String {
    if value.abs() < 1e4 {
        // Without a sign at zero.
        format!("{:.2}", (value * 100.0).round() / 100.0 + 0.0)
    } else {
        number(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_break_between_words() {
        let text = Text::regular(20.0);
        let room = text.width("no pleural effusion");
        assert_eq!(
            text.wrap("no pleural  effusion\nis seen", room, 9),
            ["no pleural effusion", "is seen"]
        );
        assert_eq!(
            text.wrap("no pleural effusion is seen", room - 1, 9),
            ["no pleural", "effusion is seen"]
        );
        assert_eq!(text.wrap("", room, 9), [""; 0]);
        assert_eq!(
            text.wrap("a b", 0, 9),
            ["a", "b"],
            "at least a character a line"
        );
    }

    #[test]
    fn what_does_not_fit_ends_in_an_ellipsis() {
        let text = Text::regular(20.0);
        let room = text.width("no pleural…") + 1;
        assert_eq!(text.clip("no pleural effusion", room), "no pleural…");
        assert_eq!(
            text.wrap("one two three four", text.width("three"), 2)
                .len(),
            2
        );
        assert!(text.wrap("one two three four", text.width("three"), 2)[1].ends_with('…'));
        assert_eq!(text.clip("yes", room), "yes");
    }

    #[test]
    fn a_longer_text_is_wider() {
        let text = Text::bold(16.0);
        assert_eq!(text.width(""), 0);
        assert!(text.width("WW") > text.width("ii"));
        assert!(text.width("no evidence") > text.width("no"));
    }

    #[test]
    fn numbers_are_short() {
        let cases = [
            (0.0, "0"),
            (1.0, "1.00"),
            (0.123_4, "0.12"),
            (-12.34, "-12.3"),
            (1234.5, "1234"),
            (3e-6, "3.00e-6"),
            (1e9, "1.00e9"),
            (f64::NAN, "NaN"),
        ];
        for (value, expected) in cases {
            assert_eq!(number(value), expected);
        }
    }

    #[test]
    fn a_column_has_two_decimals() {
        let cases = [
            (0.0, "0.00"),
            (-0.001, "0.00"),
            (3e-6, "0.00"),
            (-0.126, "-0.13"),
            (1234.5, "1234.50"),
            (1e6, "1.00e6"),
        ];
        for (value, expected) in cases {
            assert_eq!(decimals(value), expected);
        }
    }

    proptest! {
        #[test]
        fn wrapping_keeps_every_character_and_the_margin(words in ".{0,120}", room in 40i64..400) {
            let text = Text::regular(16.0);
            let lines = text.wrap(&words, room, usize::MAX);
            let kept: String = lines.concat().split_whitespace().collect();
            let meant: String = plain(&words).split_whitespace().collect();
            prop_assert_eq!(kept, meant);
            for line in lines {
                prop_assert!(text.width(&line) <= room || line.chars().count() == 1);
            }
        }
    }
}
