//! Coded pixels that end early or have a hole are refused in whatever file they lie.

#![cfg(feature = "decode")]

mod support;

use medfocus_imaging::decode::{DecodeError, Format, decode};
use support::*;

const TIFF: &[u8] = include_bytes!("fixtures/jpeg.tif");

fn damaged(file: &[u8], format: Format, what: &str) {
    let result = decode(file);
    let refused =
        matches!(&result, Err(DecodeError::Damaged { format: found, .. }) if *found == format);
    assert!(refused, "{what}: {result:?}");
}

#[test]
fn jpeg_in_tiff_is_read_as_pillow_reads_it() {
    let pillow = include_str!("fixtures/jpeg_tif.txt").split_whitespace();
    let pillow = pillow.map(|level| level.parse::<u8>().expect("a number"));
    let found = decode(TIFF).expect("a valid file").pixels;
    assert_eq!(found.dim(), (48, 40));
    for (ours, right) in found.into_iter().zip(pillow) {
        assert!(ours.abs_diff(right) <= 2, "{ours} {right}");
    }
}

#[test]
fn damaged_jpeg_in_tiff_is_refused() {
    // The second strip's stream, from its scan to its end; the tables lie behind it.
    let start = TIFF
        .windows(2)
        .rposition(|two| two == b"\xff\xda")
        .expect("a scan");
    let mut hole = TIFF.to_vec();
    hole[start + 30..start + 60].fill(0);
    hole[start + 60..start + 62].copy_from_slice(b"\xff\xd9");
    damaged(&hole, Format::Tiff, "an end in the middle");
    let mut rest = TIFF[start..].windows(2);
    let end = start + rest.position(|two| two == b"\xff\xd9").expect("an end");
    let mut early = TIFF.to_vec();
    early[end - 40..end].fill(0xff);
    damaged(&early, Format::Tiff, "fill bytes for the last codes");
}

#[test]
fn damaged_jpeg_ls_is_refused() {
    let words = ramp(24, 16);
    let frame = jpeg_ls(&words, 24, 16);
    let file = |frame: &[u8]| {
        let dicom = Dicom::new(24, 16, 12, &words);
        dicom.coded(JPEG_LS, frame.to_vec()).file()
    };
    assert!(decode(&file(&frame)).is_ok());
    for cut in [frame.len() / 2, frame.len() * 3 / 4, frame.len() - 12] {
        damaged(&file(&frame[..cut]), Format::Dicom, "cut");
        // The same with an end where it was cut.
        let closed = [&frame[..cut], b"\xff\xd9"].concat();
        damaged(&file(&closed), Format::Dicom, "closed early");
    }
}
