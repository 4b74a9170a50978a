//! Harmonic inpainting against closed forms and its own definition.

use medfocus_editor_inpaint::harmonic;
use ndarray::{Array2, ArrayView2};
use proptest::prelude::*;

/// How far a filled pixel may be from the exact solution.
const EXACT: f64 = 0.01;

/// The image with its region forgotten, filled again.
fn refilled(image: &Array2<f64>, region: &Array2<bool>) -> Array2<f64> {
    let mut forgotten = image.clone();
    forgotten.zip_mut_with(region, |pixel, &inside| {
        if inside {
            *pixel = -1e6;
        }
    });
    harmonic(forgotten.view(), region.view()).unwrap()
}

fn disc(size: usize, radius: f64) -> Array2<bool> {
    let centre = (size - 1) as f64 / 2.0;
    Array2::from_shape_fn((size, size), |(y, x)| {
        (y as f64 - centre).hypot(x as f64 - centre) < radius
    })
}

fn furthest(a: &Array2<f64>, b: &Array2<f64>) -> f64 {
    let pairs = a.iter().zip(b);
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn harmonic_functions_are_reproduced() {
    let size = 129;
    let from = |value: fn(f64, f64) -> f64| {
        Array2::from_shape_fn((size, size), |(y, x)| value(x as f64, y as f64))
    };
    // The five-point Laplacian of each is exactly zero.
    let functions = [
        from(|_, _| 137.0),
        from(|x, y| 0.7 * x + 1.1 * y + 20.0),
        from(|x, y| (x * x - y * y) / 100.0),
        from(|x, y| x * y / 90.0),
        from(|x, y| (x * x * x - 3.0 * x * y * y) / 20_000.0),
        // cos(k x) cosh(l y) with cos k + cosh l = 2.
        from(|x, y| 50.0 * (0.2 * x).cos() * ((2.0 - 0.2f64.cos()).acosh() * (y - 64.0)).cosh()),
    ];
    let mut comb = disc(size, 50.0);
    comb.indexed_iter_mut()
        .for_each(|((y, x), inside)| *inside &= x % 9 != 4 || y % 31 == 0);
    for region in [disc(size, 60.0), comb, disc(size, 0.9)] {
        for (f, function) in functions.iter().enumerate() {
            let off = furthest(&refilled(function, &region), function);
            assert!(off < EXACT, "function {f}: {off}");
        }
    }
}

#[test]
fn an_edge_of_the_image_does_not_pull() {
    // Known on the left alone: constant along each row's continuation only if nothing enters at the edges.
    let image = Array2::from_shape_fn((40, 60), |(_, x)| if x < 10 { 80.0 } else { 0.0 });
    let region = Array2::from_shape_fn((40, 60), |(_, x)| x >= 10);
    let filled = refilled(&image, &region);
    assert!(filled.iter().all(|pixel| (pixel - 80.0).abs() < EXACT));
    // Between 20 and 90 a ramp, whatever lies above and below.
    let image = Array2::from_shape_fn((40, 71), |(_, x)| 20.0 + x as f64);
    let region = Array2::from_shape_fn((40, 71), |(_, x)| x != 0 && x != 70);
    assert!(furthest(&refilled(&image, &region), &image) < EXACT);
}

#[test]
fn one_pixel_fills_a_large_image() {
    let mut region = Array2::from_elem((301, 257), true);
    region[(17, 200)] = false;
    let image = Array2::from_elem((301, 257), 201.0);
    assert!(furthest(&refilled(&image, &region), &image) < EXACT);
}

#[test]
fn lines_and_parts_are_filled_on_their_own() {
    let image = Array2::from_shape_fn((1, 9), |(_, x)| 10.0 * x as f64);
    let region = Array2::from_shape_fn((1, 9), |(_, x)| x > 0 && x != 4);
    let filled = refilled(&image, &region);
    // Left of 40 a ramp from 0; right of it nothing but 40.
    let expected = [0.0, 10.0, 20.0, 30.0, 40.0, 40.0, 40.0, 40.0, 40.0];
    for (filled, expected) in filled.iter().zip(expected) {
        assert!((filled - expected).abs() < EXACT, "{filled} {expected}");
    }
}

#[test]
fn what_cannot_be_filled_is_an_error() {
    let image = Array2::from_elem((5, 4), 3.0);
    let whole = harmonic(image.view(), Array2::from_elem((5, 4), true).view()).unwrap_err();
    assert!(whole.message.contains("is the whole image"), "{whole}");
    let other = harmonic(image.view(), Array2::from_elem((4, 5), false).view()).unwrap_err();
    assert_eq!(
        other.message,
        "a mask of 5 x 4 pixels does not fit an image of 4 x 5"
    );
}

fn neighbours(pixels: ArrayView2<'_, f64>, (y, x): (usize, usize)) -> Vec<f64> {
    let around = [
        (y, x + 1),
        (y + 1, x),
        (y, x.wrapping_sub(1)),
        (y.wrapping_sub(1), x),
    ];
    around
        .iter()
        .filter_map(|&at| pixels.get(at).copied())
        .collect()
}

proptest! {
    /// Any image and region, from single pixels to nearly everything.
    #[test]
    fn filled_pixels_are_means_and_known_ones_stay(
        (image, region) in (1usize..40, 2usize..40, 0.02f64..1.0).prop_flat_map(|(rows, columns, share)| {
            let pixels = rows * columns;
            let image = prop::collection::vec(0u8..=255, pixels);
            let region = prop::collection::vec(prop::bool::weighted(share), pixels);
            (image, region).prop_map(move |(image, mut region)| {
                region[pixels / 2] = false;
                let image = Array2::from_shape_vec((rows, columns), image).unwrap();
                (image.mapv(f64::from), Array2::from_shape_vec((rows, columns), region).unwrap())
            })
        })
    ) {
        let filled = refilled(&image, &region);
        // The maximum principle, for the pixels that touch the region.
        let (mut least, mut greatest) = (f64::INFINITY, f64::NEG_INFINITY);
        for (at, _) in region.indexed_iter().filter(|(_, inside)| !**inside) {
            prop_assert_eq!(filled[at], image[at]);
            let near = neighbours(region.mapv(|inside| f64::from(u8::from(inside))).view(), at);
            if near.contains(&1.0) {
                (least, greatest) = (least.min(image[at]), greatest.max(image[at]));
            }
        }
        for (at, _) in region.indexed_iter().filter(|(_, inside)| **inside) {
            let near = neighbours(filled.view(), at);
            let mean = near.iter().sum::<f64>() / near.len() as f64;
            prop_assert!((filled[at] - mean).abs() < 2.0 * EXACT, "{at:?}: {} {mean}", filled[at]);
            prop_assert!(filled[at] > least - EXACT && filled[at] < greatest + EXACT);
        }
    }
}
