//! The picture of a sample: its image, the boxes that were annotated, and what is asked.

use image::RgbImage;
use medfocus_plugin_api::Sample;

use super::{
    MIN_WIDTH, caption::Row, enlarge, line, marks, marks::Mark, page, placed, text_size,
    thumbnail::TRUTH,
};
use crate::dataset::presence;

/// Draws a sample at the size in which results are drawn, its boxes in the amber of what was annotated, numbered where there
/// are several. Pixels without box or number keep their grey value exactly. The same input gives the same bytes.
pub fn annotated(sample: &Sample) -> RgbImage {
    let native = (sample.image.width(), sample.image.height());
    let mut picture = enlarge(&sample.image);
    let text_size = text_size(picture.width().max(MIN_WIDTH));
    let (size, line) = (picture.dimensions(), line(picture.dimensions()));
    let several = sample.boxes.len() > 1;
    let boxes = sample.boxes.iter().zip(1_usize..);
    let marks = boxes.filter_map(|(bbox, number)| {
        Some(Mark {
            rect: placed(bbox, native, size)?,
            colour: TRUTH,
            line,
            words: several.then(|| number.to_string()).into_iter().collect(),
            faint: false,
        })
    });
    marks::draw(&mut picture, &marks.collect::<Vec<_>>(), text_size);
    page(picture, text_size, &rows(sample))
}

fn rows(sample: &Sample) -> Vec<Row<'_>> {
    let key = &sample.key;
    let mut rows = vec![
        Row::text("Question", sample.question.as_str()),
        Row::text(
            "Finding",
            format!("{}, {}", sample.finding, presence(sample)),
        ),
        match sample.boxes.len() {
            0 => Row::text("Annotated", "no box"),
            1 => Row::text("Annotated", "1 box"),
            count => Row::text("Annotated", format!("{count} boxes")),
        },
        Row::text("Sample", format!("{} of {}", key.index, key.dataset)),
    ];
    let warnings = sample.warnings.iter();
    rows.extend(warnings.map(|warning| Row::alert("Note", warning.as_str())));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;
    use medfocus_plugin_api::{BBox, GrayImage, SampleKey};
    use ndarray::Array2;

    /// An image of 400 x 384 pixels, drawn twice as large.
    fn sample(boxes: &[[u32; 4]]) -> Sample {
        let key = SampleKey {
            dataset: "mine".into(),
            index: 3,
        };
        let image = GrayImage::from_array(Array2::from_elem((384, 400), 60)).unwrap();
        let mut sample = Sample::new(
            key,
            image,
            "mass",
            "Is there evidence of mass in the image?",
        );
        let boxes = boxes
            .iter()
            .map(|&[x1, y1, x2, y2]| BBox::new(x1, y1, x2, y2).unwrap());
        sample.boxes = boxes.collect();
        sample
    }

    fn amber(picture: &RgbImage) -> Vec<(u32, u32)> {
        let pixels = picture.enumerate_pixels();
        pixels
            .filter(|(_, y, pixel)| *y < 768 && **pixel == TRUTH)
            .map(|(x, y, _)| (x, y))
            .collect()
    }

    #[test]
    fn one_box_is_its_outline_and_nothing_else() {
        let plain = annotated(&sample(&[]));
        assert!(amber(&plain).is_empty());
        assert_eq!(plain.dimensions().0, 800);
        assert!((0..768).all(|y| *plain.get_pixel(5, y) == Rgb([60; 3])));
        let picture = annotated(&sample(&[[50, 60, 150, 260]]));
        let outline = amber(&picture);
        let (x, y) = (outline.iter().map(|p| p.0), outline.iter().map(|p| p.1));
        assert_eq!((x.clone().min(), x.max()), (Some(100), Some(299)));
        assert_eq!((y.clone().min(), y.max()), (Some(120), Some(519)));
        assert_eq!(*picture.get_pixel(200, 300), Rgb([60; 3]), "inside");
        // Two pixels wide.
        assert_eq!(outline.len(), 200 * 400 - 196 * 396);
    }

    #[test]
    fn several_boxes_have_numbers() {
        let boxes = [[50, 60, 150, 260], [200, 60, 300, 260]];
        let both = annotated(&sample(&boxes));
        let ink = |picture: &RgbImage| {
            let pixels = picture.enumerate_pixels();
            let changed = pixels.filter(|(_, y, pixel)| *y < 768 && **pixel != Rgb([60; 3]));
            changed.count()
        };
        let apart: usize = boxes
            .iter()
            .map(|one| ink(&annotated(&sample(&[*one]))))
            .sum();
        assert!(ink(&both) > apart + 100, "{} {apart}", ink(&both));
    }

    #[test]
    fn a_warning_makes_the_caption_longer() {
        let mut odd = sample(&[]);
        let height = annotated(&odd).height();
        odd.warnings.push("1 box lies outside the image".into());
        assert!(annotated(&odd).height() > height);
    }
}
