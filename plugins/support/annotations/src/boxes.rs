//! Boxes as annotated, and as boxes of an image.

use medfocus_plugin_api::{BBox, Native};

use crate::oddities::Oddities;

/// x1, y1, x2, y2 of a box as annotated; nothing where that is no four numbers.
pub type Corners = Option<[f64; 4]>;

/// What corners are counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Pixels of the image.
    Pixel,
    /// The image's width and height.
    Image,
}

/// Corners given as numbers, one or more of which may be missing.
pub fn of_cells(cells: [Option<f64>; 4]) -> Corners {
    let [Some(x1), Some(y1), Some(x2), Some(y2)] = cells else {
        return None;
    };
    let corners = [x1, y1, x2, y2];
    corners
        .iter()
        .all(|corner| corner.is_finite())
        .then_some(corners)
}

/// Corners written as Python writes a list or tuple: `[12, 40, 300, 512]`. The text is data, and nothing in it is run.
pub fn of_literal(text: &str) -> Corners {
    let text = text.trim();
    let inside = |open, close| text.strip_prefix(open)?.strip_suffix(close);
    let inside = inside('[', ']').or_else(|| inside('(', ')'))?;
    // Python allows a comma behind the last.
    let inside = inside.trim_end();
    let inside = inside.strip_suffix(',').unwrap_or(inside);
    let mut numbers = inside.split(',').map(|number| number.trim().parse().ok());
    let corners = [(); 4].map(|()| numbers.next().flatten());
    numbers.next().is_none().then_some(of_cells(corners))?
}

/// Counts a box that cannot be used, whatever the image.
pub fn note(
    corners: &Corners,
    unit: Unit,
    oddities: &mut Oddities,
    place: impl FnOnce() -> String,
) {
    let Some(corners) = corners else {
        return oddities.note("boxes that are no four numbers", place);
    };
    let [x1, y1, x2, y2] = match unit {
        Unit::Pixel => corners.map(f64::round_ties_even),
        Unit::Image => *corners,
    };
    if x1 >= x2 || y1 >= y2 {
        oddities.note("boxes without area", place);
    }
}

/// Boxes of an image, and what happened to those that did not fit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Placed {
    /// Those that lie in the image, clipped to it, in their order.
    pub boxes: Vec<BBox<Native>>,
    /// What was clipped or left out, one sentence a kind.
    pub warnings: Vec<String>,
}

/// The annotated boxes in an image of `width` x `height` pixels, rounded to these, halves to the even neighbour as
/// Python's `round` does.
pub fn place(boxes: &[Corners], unit: Unit, width: u32, height: u32) -> Placed {
    let [across, down] = match unit {
        Unit::Pixel => [1.0, 1.0],
        Unit::Image => [width, height].map(f64::from),
    };
    let [mut clipped, mut outside, mut flat, mut broken] = [0; 4];
    let mut placed = Placed::default();
    for corners in boxes {
        let Some([x1, y1, x2, y2]) = corners else {
            broken += 1;
            continue;
        };
        let x = |x: f64| (x * across).round_ties_even();
        let y = |y: f64| (y * down).round_ties_even();
        let rounded = [x(*x1), y(*y1), x(*x2), y(*y2)];
        let [x1, y1, x2, y2] = rounded;
        if x1 >= x2 || y1 >= y2 {
            flat += 1;
            continue;
        }
        let within = |value: f64, size: u32| value.clamp(0.0, f64::from(size)) as u32;
        let [x1, x2] = [x1, x2].map(|x| within(x, width));
        let [y1, y2] = [y1, y2].map(|y| within(y, height));
        match BBox::new(x1, y1, x2, y2) {
            Ok(bbox) => {
                clipped += usize::from(bbox.corners().map(f64::from) != rounded);
                placed.boxes.push(bbox);
            }
            Err(_) => outside += 1,
        }
    }
    let kinds = [
        (
            clipped,
            "reaches",
            "reach",
            "beyond the image and is clipped",
        ),
        (outside, "lies", "lie", "outside the image and is left out"),
        (flat, "has", "have", "no area and is left out"),
        (broken, "has", "have", "no four numbers and is left out"),
    ];
    for (count, one, many, what) in kinds {
        match count {
            0 => {}
            1 => placed.warnings.push(format!("1 box {one} {what}")),
            _ => {
                let what = what.replace(" and is ", " and are ");
                placed.warnings.push(format!("{count} boxes {many} {what}"));
            }
        }
    }
    placed
}
