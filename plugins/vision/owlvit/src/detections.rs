//! Scores and boxes to detections, as the published code does it.

use medfocus_plugin_api::{BBox, ScoredBox};

/// The detections of a phrase on an image of `width` x `height`, strongest first, from the score and the box (middle,
/// width and height, as shares of the image) of every patch.
///
/// Of the scores above the threshold, equal ones excluded, the best count, at most `limit`. Corners lose their fractions
/// and end at the image's last pixel; a box that this leaves empty is dropped and no other takes its place.
pub fn detections(
    scores: &[f32],
    boxes: &[[f32; 4]],
    (width, height): (u32, u32),
    phrase: &str,
    threshold: f64,
    limit: usize,
) -> Vec<ScoredBox> {
    let all = scores.iter().zip(boxes);
    let mut found: Vec<_> = all
        .filter(|&(&score, _)| score > threshold as f32)
        .collect();
    found.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    found.truncate(limit);
    let boxed = found.into_iter().filter_map(|(&score, &[x, y, w, h])| {
        let (x1, x2) = edges(x, w, width);
        let (y1, y2) = edges(y, h, height);
        Some(ScoredBox {
            bbox: BBox::new(x1, y1, x2, y2).ok()?,
            score: f64::from(score),
            label: Some(phrase.to_owned()),
        })
    });
    boxed.collect()
}

/// First and last pixel of an interval on an axis of `size` pixels.
fn edges(middle: f32, length: f32, size: u32) -> (u32, u32) {
    let edge = |share: f32| {
        // `as` truncates toward zero, which is the lower bound.
        let pixel = (share * size as f32) as u32;
        pixel.min(size.saturating_sub(1))
    };
    let half = 0.5 * length;
    (edge(middle - half), edge(middle + half))
}
