//! Resampling and the working image against Pillow, and the laws that hold without it.

use medfocus_imaging::resample::{Filter, resize};
use medfocus_imaging::working::letterbox;
use medfocus_plugin_api::Letterbox;
use ndarray::{Array2, s};
use proptest::prelude::*;

/// The image of `synthetic` in `fixtures/make_resample.py`.
fn synthetic(height: usize, width: usize) -> Array2<u8> {
    Array2::from_shape_fn((height, width), |(y, x)| {
        let mut hashed = ((y * width + x) as u32).wrapping_mul(2_654_435_761);
        hashed ^= hashed >> 15;
        hashed = hashed.wrapping_mul(2_246_822_519);
        hashed ^= hashed >> 13;
        let board = if (x / 37 + y / 29) % 2 == 1 { 255 } else { 0 };
        if hashed & 1 == 1 {
            (hashed >> 24) as u8
        } else {
            board
        }
    })
}

fn filter(name: &str) -> Filter {
    match name {
        "bilinear" => Filter::Bilinear,
        "bicubic" => Filter::Bicubic,
        _ => panic!("unknown filter {name}"),
    }
}

fn crc(image: &Array2<u8>) -> u32 {
    crc32fast::hash(
        image
            .as_slice()
            .expect("freshly made arrays are contiguous"),
    )
}

fn fixtures(kind: &'static str) -> impl Iterator<Item = (&'static str, Vec<usize>)> {
    include_str!("fixtures/resample.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(move |line| {
            let rest = match kind {
                "resize" => line.starts_with("bi").then_some(line)?,
                _ => line.strip_prefix(kind)?.trim_start(),
            };
            let mut words = rest.split(' ').peekable();
            let name = words.next_if(|word| word.starts_with("bi")).unwrap_or("");
            Some((
                name,
                words.map(|word| word.parse().expect("a number")).collect(),
            ))
        })
}

#[test]
fn resize_equals_pillow() {
    let mut cases = 0;
    for (name, numbers) in fixtures("resize") {
        let &[h, w, out_h, out_w, expected] = &numbers[..] else {
            panic!("five numbers in {numbers:?}")
        };
        let result = resize(synthetic(h, w).view(), out_h, out_w, filter(name));
        assert_eq!(
            crc(&result) as usize,
            expected,
            "{name} {h}x{w} to {out_h}x{out_w}"
        );
        cases += 1;
    }
    assert_eq!(cases, 19);
}

#[test]
fn small_result_equals_pillow_pixel_by_pixel() {
    let (name, numbers) = fixtures("pixels").next().expect("a fixture");
    let (sizes, pixels) = numbers.split_at(4);
    let result = resize(
        synthetic(sizes[0], sizes[1]).view(),
        sizes[2],
        sizes[3],
        filter(name),
    );
    let result: Vec<usize> = result.iter().map(|&p| usize::from(p)).collect();
    assert_eq!(result, pixels);
}

#[test]
fn letterbox_equals_pillow() {
    let mut cases = 0;
    for (_, numbers) in fixtures("letterbox") {
        let &[h, w, side, scaled_h, scaled_w, top, left, expected] = &numbers[..] else {
            panic!("eight numbers in {numbers:?}")
        };
        let side = side as u32;
        let place = Letterbox::new(w as u32, h as u32, side).unwrap();
        let pixels = [place.scaled.1, place.scaled.0, place.top, place.left];
        let expected_pixels = [scaled_h, scaled_w, top, left].map(|pixels| pixels as u32);
        assert_eq!(pixels, expected_pixels, "{h}x{w}");
        let result = letterbox(synthetic(h, w).view(), side);
        assert_eq!(crc(&result) as usize, expected, "{h}x{w} in {side}");
        cases += 1;
    }
    assert_eq!(cases, 9);
}

#[test]
fn views_need_not_be_contiguous() {
    let image = synthetic(40, 60);
    let view = image.slice(s![3..37;2, ..;-1]);
    let copy = view.as_standard_layout().into_owned();
    for filter in [Filter::Bilinear, Filter::Bicubic] {
        assert_eq!(
            resize(view, 9, 71, filter),
            resize(copy.view(), 9, 71, filter)
        );
    }
}

#[test]
fn empty_sizes_give_empty_images() {
    let empty = Array2::<u8>::zeros((0, 5));
    assert_eq!(
        resize(empty.view(), 2, 3, Filter::Bicubic),
        Array2::<u8>::zeros((2, 3))
    );
    assert_eq!(letterbox(empty.view(), 4), Array2::<u8>::zeros((4, 4)));
    let image = synthetic(3, 3);
    assert_eq!(resize(image.view(), 0, 3, Filter::Bilinear).dim(), (0, 3));
    assert_eq!(letterbox(image.view(), 0).dim(), (0, 0));
}

fn images() -> impl Strategy<Value = Array2<u8>> {
    (1..40usize, 1..40usize).prop_flat_map(|(h, w)| {
        proptest::collection::vec(any::<u8>(), h * w)
            .prop_map(move |pixels| Array2::from_shape_vec((h, w), pixels).expect("h * w pixels"))
    })
}

fn filters() -> impl Strategy<Value = Filter> {
    prop_oneof![Just(Filter::Bilinear), Just(Filter::Bicubic)]
}

proptest! {
    #[test]
    fn constant_images_stay_constant(value: u8, h in 1..50usize, w in 1..50usize,
                                     out_h in 1..80usize, out_w in 1..80usize, f in filters()) {
        let result = resize(Array2::from_elem((h, w), value).view(), out_h, out_w, f);
        prop_assert_eq!(result, Array2::from_elem((out_h, out_w), value));
    }

    #[test]
    fn same_size_is_a_copy(image in images(), f in filters()) {
        prop_assert_eq!(&resize(image.view(), image.nrows(), image.ncols(), f), &image);
    }

    #[test]
    fn bilinear_stays_between_the_extremes(image in images(), h in 1..60usize, w in 1..60usize) {
        let (low, high) = (image.iter().min(), image.iter().max());
        let result = resize(image.view(), h, w, Filter::Bilinear);
        // Each of the two passes rounds once, so an extreme is never passed.
        prop_assert!(result.iter().min() >= low && result.iter().max() <= high);
    }

    #[test]
    fn one_axis_at_a_time_commutes_with_transposition(image in images(), n in 1..60usize, f in filters()) {
        let across = resize(image.view(), image.nrows(), n, f);
        let down = resize(image.t(), n, image.nrows(), f);
        prop_assert_eq!(across, down.reversed_axes());
    }

    #[test]
    fn letterbox_pads_with_zeros_and_centres(h in 1..600usize, w in 1..600usize, side in 1..64usize) {
        let place = Letterbox::new(w as u32, h as u32, side as u32).unwrap();
        let [x1, y1, x2, y2] = place.content().corners().map(|edge| edge as usize);
        prop_assert_eq!((x2 - x1).max(y2 - y1), side);
        prop_assert!(x2 > x1 && y2 > y1);
        let (right, below) = (side - x2, side - y2);
        prop_assert!(right - x1 <= 1 && below - y1 <= 1);
        let square = letterbox(Array2::from_elem((h, w), 9).view(), side as u32);
        let content = square.slice(s![y1..y2, x1..x2]);
        prop_assert!(content.iter().all(|&p| p == 9));
        prop_assert_eq!(square.iter().filter(|&&p| p == 9).count(), content.len());
    }
}
