//! Concepts in the picture: the evidence's boxes with their names, the others' faintly.

use image::Rgb;
use medfocus_plugin_api::{BBox, Working};

use super::{
    marks::Mark,
    paint::{self, Rect},
};
use crate::evidence::{HUES, Weighed, letter};

/// Other concepts have boxes if they have a colour of their own and a bar at least this long: more would hide the one
/// thing that the picture says.
const SHORTEST: f64 = 0.02;

/// Its colour.
pub fn colour(concepts: &Weighed<'_>, place: usize) -> Rgb<u8> {
    paint::CONCEPTS[concepts.hue(place)]
}

/// What the label of one of the evidence's boxes may say; the whole image needs none.
pub fn words(concepts: &Weighed<'_>, label: Option<&str>) -> Vec<String> {
    let letter = concepts.winner.map(letter);
    let (false, Some(name)) = (concepts.fallback, label.or(concepts.chosen)) else {
        return Vec::new();
    };
    match letter {
        Some(letter) => vec![format!("{letter} · {name}"), letter],
        None => vec![name.to_owned()],
    }
}

/// Boxes of the strongest concepts that are not the evidence, each box once, under the strongest that has it. `place` says where
/// a box lies in the picture, if it does.
pub fn others(
    concepts: &Weighed<'_>,
    line: i64,
    place: impl Fn(&BBox<Working>) -> Option<Rect>,
) -> Vec<Mark> {
    let evidence = concepts.winner.map(|at| &concepts.concepts[at].boxes);
    let mut seen: Vec<BBox<Working>> = evidence.into_iter().flatten().copied().collect();
    let mut marks = Vec::new();
    for (at, concept) in concepts.concepts.iter().enumerate() {
        let hue = concepts.hue(at);
        if hue == 0 || hue == HUES - 1 || concepts.length(concept.delta) < SHORTEST {
            continue;
        }
        for bbox in &concept.boxes {
            if seen.contains(bbox) {
                continue;
            }
            seen.push(*bbox);
            marks.extend(place(bbox).map(|rect| Mark {
                rect,
                colour: colour(concepts, at),
                line,
                words: vec![letter(at)],
                faint: true,
            }));
        }
    }
    marks
}
