//! Damaged files of every kind give an image or an error: never a panic, never endless memory.

#![cfg(feature = "decode")]

mod support;

use std::io::Cursor;

use medfocus_imaging::{
    decode::{MAX_PIXELS, decode},
    encode::encode_png_gray,
};
use ndarray::Array2;
use proptest::{prelude::*, sample::Index};
use support::*;
use tiff::encoder::{TiffEncoder, colortype::Gray16};

/// Small valid files, one of each kind.
fn files() -> Vec<Vec<u8>> {
    let words = ramp(24, 16);
    let gray = Array2::from_shape_fn((24, 16), |(y, x)| words[y * 16 + x] as u8);
    let mut tiff = Cursor::new(Vec::new());
    TiffEncoder::new(&mut tiff)
        .and_then(|mut encoder| encoder.write_image::<Gray16>(16, 24, &words))
        .expect("a valid image");
    let table = item(vec![
        (LUT_DESCRIPTOR, Value::Words(b"US", vec![3, 10, 16])),
        (LUT_DATA, Value::Words(b"OW", vec![5, 1, 9])),
    ]);
    let dicom = Dicom::new(24, 16, 12, &words)
        .with(VOI_LUT, table)
        .with(PADDING, us(0))
        .with(SLOPE, ds("1.5"));
    let jpeg = include_bytes!("fixtures/lossless.jpg").to_vec();
    let restarts = include_bytes!("fixtures/restarts.jpg").to_vec();
    let j2k = include_bytes!("fixtures/lossless.j2k").to_vec();
    vec![
        encode_png_gray(gray.view()).expect("a valid image"),
        include_bytes!("fixtures/palette.png").to_vec(),
        include_bytes!("fixtures/oriented.jpg").to_vec(),
        include_bytes!("fixtures/progressive.jpg").to_vec(),
        tiff.into_inner(),
        dicom.file(),
        dicom.clone().in_syntax(IMPLICIT).headless(),
        dicom.clone().in_syntax(BIG_ENDIAN).file(),
        dicom.clone().in_syntax(DEFLATED).file(),
        dicom.clone().coded(RLE, rle(&words)).file(),
        dicom.clone().coded(JPEG_LOSSLESS, jpeg).file(),
        dicom.clone().coded(JPEG_LOSSLESS, restarts).file(),
        dicom.clone().coded(JPEG_LS, jpeg_ls(&words, 24, 16)).file(),
        dicom.coded(JPEG_2000, j2k).file(),
    ]
}

/// Decodes, and checks that an error is one line without content of the file.
fn survives(bytes: &[u8]) {
    match decode(bytes) {
        Ok(image) => assert!(image.pixels.len() <= MAX_PIXELS),
        Err(error) => {
            let text = error.to_string();
            assert!(!text.contains('\n') && !text.contains("SECRET"), "{text}");
        }
    }
}

#[test]
fn intact_files_are_read() {
    for file in files() {
        decode(&file).expect("a valid file");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn truncated_files(at: Index) {
        for file in files() {
            survives(&file[..at.index(file.len())]);
        }
    }

    #[test]
    fn flipped_bytes(flips in proptest::collection::vec((any::<Index>(), any::<u8>()), 1..8)) {
        for mut file in files() {
            for (at, byte) in &flips {
                let at = at.index(file.len());
                file[at] = *byte;
            }
            survives(&file);
        }
    }

    /// Past the preamble, where the headers are.
    #[test]
    fn flipped_header_bytes(flips in proptest::collection::vec((0..400usize, any::<u8>()), 1..4)) {
        for mut file in files() {
            let start = if file.get(128..132) == Some(b"DICM") { 132 } else { 0 };
            for &(at, byte) in &flips {
                if let Some(target) = file.get_mut(start + at) {
                    *target = byte;
                }
            }
            survives(&file);
        }
    }

    #[test]
    fn noise_after_a_signature(noise in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut dicom = vec![0; 128];
        dicom.extend(b"DICM");
        for magic in [&b"\x89PNG\r\n\x1a\n"[..], b"\xff\xd8\xff", b"II*\0", &dicom, b"\x08\0\x05\0"] {
            survives(&[magic, &noise].concat());
        }
    }
}
