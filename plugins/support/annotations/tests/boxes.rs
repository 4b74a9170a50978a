//! Boxes: what is a list of four numbers, and where it lies in an image.

use medfocus_annotations::{Oddities, Unit, note, of_cells, of_literal, place};
use proptest::prelude::*;

#[test]
fn a_literal_of_four_numbers_is_read_as_python_reads_it() {
    let read = Some([1.0, 2.5, 3.0, 400.0]);
    for text in [
        "[1, 2.5, 3, 400]",
        "(1, 2.5, 3, 400)",
        " [1,2.5,3.,4e2,] ",
        "[+1,\t2.5,\n3,0400.0]",
    ] {
        assert_eq!(of_literal(text), read, "{text}");
    }
    assert_eq!(of_literal("[-1, 0, .5, 2]"), Some([-1.0, 0.0, 0.5, 2.0]));
}

#[test]
fn all_else_is_no_box() {
    for text in [
        "",
        "[]",
        "[1, 2, 3]",
        "[1, 2, 3, 4, 5]",
        "[1, 2, 3, 4,,]",
        "[1, 2, 3, '4']",
        "[1, 2, 3, nan]",
        "[1, 2, 3, inf]",
        "[1, 2, 3, 1e999]",
        "[1, 2, 3, 4",
        "[1, 2, 3, 4)",
        "1, 2, 3, 4",
        "[[1, 2, 3, 4]]",
        "[1, 2, 3, 2 + 2]",
        "[1 2, 3, 4]",
        "__import__('os').abort()",
        "[é",
    ] {
        assert_eq!(of_literal(text), None, "{text}");
    }
    assert_eq!(of_cells([Some(1.0), Some(2.0), None, Some(4.0)]), None);
    assert_eq!(
        of_cells([Some(1.0), Some(2.0), Some(f64::NAN), Some(4.0)]),
        None
    );
}

#[test]
fn halves_go_to_the_even_neighbour() {
    let corners = |boxes: &[_], unit, width, height| -> Vec<_> {
        let placed = place(boxes, unit, width, height);
        placed.boxes.iter().map(|bbox| bbox.corners()).collect()
    };
    let pixels = [Some([0.5, 1.5, 2.5, 3.5]), Some([0.51, 1.49, 2.49, 3.51])];
    assert_eq!(
        corners(&pixels, Unit::Pixel, 100, 100),
        [[0, 2, 2, 4], [1, 1, 2, 4]]
    );
    // 0.025 x 100 and 0.125 x 100 are halves, and so is 0.035 x 100, of which Python too makes 3.5000000000000004.
    let shares = [Some([0.025, 0.035, 0.125, 0.9])];
    assert_eq!(corners(&shares, Unit::Image, 100, 100), [[2, 4, 12, 90]]);
    // Width and height each have their scale.
    let shares = [Some([0.1, 0.1, 0.5, 0.5])];
    assert_eq!(corners(&shares, Unit::Image, 80, 60), [[8, 6, 40, 30]]);
}

#[test]
fn what_is_left_out_is_counted() {
    let mut oddities = Oddities::default();
    let corners = [
        None,
        // Nothing is left of it in whole pixels.
        Some([1.6, 1.0, 2.4, 3.0]),
        None,
        Some([1.0, 1.0, 2.0, 2.0]),
    ];
    for (number, corners) in corners.iter().enumerate() {
        note(corners, Unit::Pixel, &mut oddities, || {
            format!("row {number}")
        });
    }
    let found: Vec<_> = oddities
        .found()
        .iter()
        .map(|oddity| (oddity.what.as_str(), oddity.count, oddity.first.as_str()))
        .collect();
    assert_eq!(
        found,
        [
            ("boxes that are no four numbers", 2, "row 0"),
            ("boxes without area", 1, "row 1"),
        ]
    );
    let mut none = Oddities::default();
    note(&corners[1], Unit::Image, &mut none, String::new);
    assert!(none.found().is_empty());
    let placed = place(&corners, Unit::Pixel, 9, 9);
    assert_eq!(
        placed.warnings,
        [
            "1 box has no area and is left out",
            "2 boxes have no four numbers and are left out",
        ]
    );
}

proptest! {
    #[test]
    fn boxes_lie_in_their_image(
        corners in prop::array::uniform4(-1e4f64..1e4), width in 1u32..5000, height in 1u32..5000,
    ) {
        let [x1, y1, x2, y2] = corners.map(f64::round_ties_even);
        let placed = place(&[Some(corners)], Unit::Pixel, width, height);
        let (w, h) = (f64::from(width), f64::from(height));
        let meets = x1.max(0.0) < x2.min(w) && y1.max(0.0) < y2.min(h);
        prop_assert_eq!(placed.boxes.len(), usize::from(meets));
        let whole = x1 >= 0.0 && y1 >= 0.0 && x2 <= w && y2 <= h;
        prop_assert_eq!(placed.warnings.is_empty(), meets && whole);
        for bbox in placed.boxes {
            prop_assert_eq!(bbox.clip(width, height), Some(bbox));
        }
    }

    #[test]
    fn numbers_survive_being_written(corners in prop::array::uniform4(any::<f64>())) {
        let [a, b, c, d] = corners;
        let read = of_literal(&format!("[{a:?}, {b:?}, {c:?}, {d:?}]"));
        prop_assert_eq!(read, corners.iter().all(|x| x.is_finite()).then_some(corners));
    }

    #[test]
    fn no_text_stops_it(text in ".{0,40}") {
        let _ = of_literal(&text);
    }
}
