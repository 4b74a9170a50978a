//! A line of words above a picture that leaves its house.

use image::{RgbImage, imageops};

use super::{
    paint::{self, Rect},
    text::Text,
};

/// The picture below a line of words, which are as large as its width allows.
pub fn headed(picture: &RgbImage, words: &str) -> RgbImage {
    let width = i64::from(picture.width());
    let room = width * 9 / 10;
    let sizes = (8..=40_u8).rev().map(|size| Text::bold(size.into()));
    let text = sizes.into_iter().find(|text| text.width(words) <= room);
    let text = text.unwrap_or_else(|| Text::bold(8.0));
    let height = 2 * text.line_height();
    let mut page = RgbImage::new(picture.width(), picture.height() + height as u32);
    paint::fill(&mut page, Rect::new(0, 0, width, height), paint::PAGE, 1.0);
    let left = ((width - text.width(words)) / 2).max(0);
    text.draw(
        &mut page,
        (left, text.line_height() / 2),
        paint::ALERT,
        words,
    );
    imageops::replace(&mut page, picture, 0, height);
    page
}
