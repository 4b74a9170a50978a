//! PNG, JPEG and TIFF: what becomes of each pixel type.

#![cfg(feature = "decode")]

use std::io::Cursor;

use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};
use medfocus_imaging::{
    decode::{DecodeError, Decoded, Format, decode},
    encode::{EncodeError, encode_png_gray, encode_png_rgb},
};
use ndarray::{Array2, Array3, arr2, arr3};
use proptest::prelude::*;
use tiff::encoder::{TiffEncoder, colortype};

fn png(bytes: &[u8], size: (u32, u32), color: ExtendedColorType) -> Decoded {
    let mut file = Vec::new();
    PngEncoder::new(&mut file)
        .write_image(bytes, size.0, size.1, color)
        .expect("a valid image");
    decode(&file).expect("a valid file")
}

fn words(values: &[u16]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_ne_bytes())
        .collect()
}

fn tiff<C: colortype::ColorType>(values: &[C::Inner], size: (u32, u32)) -> Decoded
where
    [C::Inner]: tiff::encoder::TiffValue,
{
    let mut file = Cursor::new(Vec::new());
    TiffEncoder::new(&mut file)
        .expect("in memory")
        .write_image::<C>(size.0, size.1, values)
        .expect("a valid image");
    decode(file.get_ref()).expect("a valid file")
}

fn levels(decoded: &Decoded) -> Vec<u8> {
    decoded.pixels.iter().copied().collect()
}

#[test]
fn eight_bits_stay_as_they_are() {
    let image = png(&[3, 7, 200, 100, 9, 50], (3, 2), ExtendedColorType::L8);
    assert_eq!(image.pixels, arr2(&[[3, 7, 200], [100, 9, 50]]));
    assert_eq!(
        (image.source.as_str(), image.warnings.len()),
        ("PNG 8-bit gray", 0)
    );
    let image = tiff::<colortype::Gray8>(&[3, 7, 200, 100, 9, 50], (3, 2));
    assert_eq!(image.pixels, arr2(&[[3, 7, 200], [100, 9, 50]]));
    assert_eq!(image.source, "TIFF 8-bit gray");
}

#[test]
fn sixteen_bits_are_stretched() {
    // 0, 1/3, 2/3 and all of the range: cut to integers.
    let values = [1000, 1100, 1200, 1300];
    for image in [
        png(&words(&values), (2, 2), ExtendedColorType::L16),
        tiff::<colortype::Gray16>(&values, (2, 2)),
    ] {
        assert_eq!(levels(&image), [0, 85, 170, 255], "{}", image.source);
    }
    let float = tiff::<colortype::Gray32Float>(&[-1.0, f32::NAN, 0.0, 1.0], (2, 2));
    assert_eq!(levels(&float), [0, 0, 127, 255]);
    assert_eq!(float.source, "TIFF 32-bit float gray");
    let constant = png(&words(&[9; 4]), (2, 2), ExtendedColorType::L16);
    assert_eq!(levels(&constant), [0; 4]);
    assert_eq!(constant.warnings.len(), 1);
}

#[test]
fn colour_becomes_luma_and_transparency_is_ignored() {
    let rgb = [255, 0, 0, 0, 255, 0, 0, 0, 255, 90, 90, 90];
    let expected = [76, 150, 29, 90];
    assert_eq!(
        levels(&png(&rgb, (4, 1), ExtendedColorType::Rgb8)),
        expected
    );
    assert_eq!(levels(&tiff::<colortype::RGB8>(&rgb, (4, 1))), expected);
    let rgba: Vec<u8> = rgb
        .chunks(3)
        .flat_map(|p| [p[0], p[1], p[2], p[0]])
        .collect();
    let image = png(&rgba, (4, 1), ExtendedColorType::Rgba8);
    assert_eq!(levels(&image), expected);
    assert!(image.warnings[0].contains("transparency"));
    let wide = [0, 0, 0, 65535, 65535, 65535];
    assert_eq!(
        levels(&png(&words(&wide), (2, 1), ExtendedColorType::Rgb16)),
        [0, 255]
    );
}

#[test]
fn palettes_are_resolved() {
    let image = decode(include_bytes!("fixtures/palette.png")).expect("a valid file");
    // Luma of (10, 10, 10), (255, 0, 0), (0, 200, 100).
    let expected: Vec<u8> = (0..12).map(|i| [10, 76, 129][i % 3]).collect();
    assert_eq!(levels(&image), expected);
}

#[test]
fn jpeg_is_within_one_level_of_pillow() {
    let image = decode(include_bytes!("fixtures/oriented.jpg")).expect("a valid file");
    // Stored as 24 x 16; orientation 6 says that its first row is the right side.
    assert_eq!(image.pixels.dim(), (16, 24));
    assert_eq!(image.warnings.len(), 0, "{:?}", image.warnings);
    let pillow: Vec<u8> = include_str!("fixtures/oriented.txt")
        .split_whitespace()
        .map(|level| level.parse().expect("a number"))
        .collect();
    for ((y, x), ours) in image.pixels.indexed_iter() {
        let theirs = pillow[(23 - x) * 16 + y];
        assert!(ours.abs_diff(theirs) <= 1, "{ours} {theirs}");
    }
}

/// The body of an EXIF chunk: a TIFF header and one entry, tag 274.
fn exif(orientation: u16) -> Vec<u8> {
    let mut chunk = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01".to_vec();
    chunk.extend(orientation.to_be_bytes());
    chunk.extend([0; 6]);
    chunk
}

/// A PNG with `chunk` of type `kind` after its header.
fn png_with_chunk(pixels: &Array2<u8>, kind: &[u8; 4], chunk: &[u8]) -> Vec<u8> {
    let mut file = encode_png_gray(pixels.view()).expect("a valid image");
    let named = [&kind[..], chunk].concat();
    let mut whole = (chunk.len() as u32).to_be_bytes().to_vec();
    whole.extend(&named);
    whole.extend(crc32fast::hash(&named).to_be_bytes());
    file.splice(33..33, whole);
    file
}

#[test]
fn orientation_tags_are_applied() {
    let stored = arr2(&[[1, 2, 3], [4, 5, 6]]);
    // Which side of the image the first row and the first column are (EXIF 2.32, 4.6.4).
    let shown = [
        arr2(&[[1, 2, 3], [4, 5, 6]]),   // top, left
        arr2(&[[3, 2, 1], [6, 5, 4]]),   // top, right
        arr2(&[[6, 5, 4], [3, 2, 1]]),   // bottom, right
        arr2(&[[4, 5, 6], [1, 2, 3]]),   // bottom, left
        arr2(&[[1, 4], [2, 5], [3, 6]]), // left, top
        arr2(&[[4, 1], [5, 2], [6, 3]]), // right, top
        arr2(&[[6, 3], [5, 2], [4, 1]]), // right, bottom
        arr2(&[[3, 6], [2, 5], [1, 4]]), // left, bottom
        arr2(&[[1, 2, 3], [4, 5, 6]]),   // 9 is not defined
    ];
    for (orientation, shown) in (1..).zip(shown) {
        let png = png_with_chunk(&stored, b"eXIf", &exif(orientation));
        let mut tiff = Cursor::new(Vec::new());
        let mut encoder = TiffEncoder::new(&mut tiff).expect("in memory");
        let mut image = encoder
            .new_image::<colortype::Gray8>(3, 2)
            .expect("a valid image");
        image
            .encoder()
            .write_tag(tiff::tags::Tag::Orientation, orientation)
            .expect("a valid tag");
        image
            .write_data(&[1, 2, 3, 4, 5, 6])
            .expect("a valid image");
        for file in [png, tiff.into_inner()] {
            let image = decode(&file).expect("a valid file");
            assert_eq!(image.pixels, shown, "{orientation} {}", image.source);
            assert_eq!(image.warnings.len(), 0, "{:?}", image.warnings);
            let turned = image
                .source
                .ends_with(&format!("orientation tag ({orientation})"));
            assert_eq!(turned, (2..=8).contains(&orientation), "{}", image.source);
        }
    }
}

/// A TIFF of two gray pixels, 8 bits, with one more tag or another value of one.
fn tiff_with(tag: tiff::tags::Tag, value: u16) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    let mut encoder = TiffEncoder::new(&mut file).expect("in memory");
    let mut image = encoder
        .new_image::<colortype::GrayI8>(2, 1)
        .expect("a valid image");
    image.encoder().write_tag(tag, value).expect("a valid tag");
    image.write_data(&[1, 2]).expect("a valid image");
    file.into_inner()
}

#[test]
fn what_a_tiff_says_and_is_not_read_is_named() {
    use tiff::tags::Tag;
    let refused = |tag, value| {
        let error = decode(&tiff_with(tag, value)).expect_err("not supported");
        assert!(matches!(error, DecodeError::Unsupported { .. }), "{error}");
        error.to_string()
    };
    assert!(refused(Tag::FillOrder, 2).contains("FillOrder 2"));
    let inverted = refused(Tag::PhotometricInterpretation, 0);
    assert!(inverted.contains("WhiteIsZero"), "{inverted}");
    for (tag, value) in [(Tag::FillOrder, 1), (Tag::PhotometricInterpretation, 1)] {
        let image = decode(&tiff_with(tag, value)).expect("a valid file");
        assert_eq!(levels(&image), [0, 255]);
    }
}

#[test]
fn truncated_files_are_errors() {
    let jpeg = include_bytes!("fixtures/oriented.jpg");
    let png = encode_png_gray(Array2::from_elem((40, 40), 7).view()).expect("a valid image");
    for (file, format) in [(&jpeg[..], Format::Jpeg), (&png, Format::Png)] {
        for cut in [30, file.len() / 2, file.len() - 16] {
            let result = decode(&file[..cut]);
            assert!(
                matches!(result, Err(DecodeError::Damaged { format: f, .. }) if f == format),
                "{format} {cut}: {result:?}"
            );
        }
    }
}

#[test]
fn absurd_sizes_are_refused_before_allocation() {
    let mut file = encode_png_gray(Array2::zeros((2, 2)).view()).expect("a valid image");
    file[16..24].copy_from_slice(&[0, 1, 0x86, 0xa0, 0, 1, 0x86, 0xa0]);
    let checksum = crc32fast::hash(&file[12..29]).to_be_bytes();
    file[29..33].copy_from_slice(&checksum);
    let error = decode(&file).expect_err("a bomb");
    assert!(matches!(error, DecodeError::Size { .. }), "{error}");
    assert!(error.to_string().contains("100000 x 100000"), "{error}");
}

#[test]
fn unknown_files_are_named_so() {
    for bytes in [&b""[..], b"hello", b"GIF89a", &[0; 200]] {
        assert!(matches!(decode(bytes), Err(DecodeError::UnknownFormat)));
    }
}

#[test]
fn encoding_refuses_impossible_images() {
    let empty = encode_png_gray(Array2::zeros((0, 3)).view());
    assert!(matches!(empty, Err(EncodeError::Size { .. })));
    let two = encode_png_rgb(Array3::zeros((2, 2, 2)).view());
    assert!(matches!(two, Err(EncodeError::Channels(2))));
    let rgb = encode_png_rgb(arr3(&[[[255, 0, 0], [0, 0, 255]]]).view()).expect("a valid image");
    assert_eq!(levels(&decode(&rgb).expect("a valid file")), [76, 29]);
}

proptest! {
    #[test]
    fn png_round_trip(h in 1..40usize, w in 1..40usize, seed: u8) {
        let image = Array2::from_shape_fn((h, w), |(y, x)| (y * 31 + x * 7) as u8 ^ seed);
        // A transposed view: rows are not contiguous.
        let file = encode_png_gray(image.t()).expect("a valid image");
        prop_assert_eq!(decode(&file).expect("a valid file").pixels, image.reversed_axes());
    }
}
