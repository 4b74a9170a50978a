//! The tables of `docs/hospital.md`: the transfer syntaxes row by row, and what of their other rows no
//! other test shows.

#![cfg(feature = "decode")]

mod support;

use std::io::Cursor;

use medfocus_imaging::decode::{DecodeError, Format, decode};
use support::*;
use tiff::{encoder::TiffEncoder, tags::Tag};

const TABLES: &str = include_str!("../../../../docs/hospital.md");

/// UID and verdict of each transfer syntax.
fn rows() -> Vec<(&'static str, &'static str)> {
    TABLES
        .lines()
        .filter_map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            match cells[..] {
                ["", _, uid, verdict, ""] if uid.starts_with("1.") => Some((uid, verdict)),
                _ => None,
            }
        })
        .collect()
}

/// The ramp, coded in a syntax that is read.
fn coded(uid: &'static str) -> Dicom {
    let words = ramp(24, 16);
    let file = Dicom::new(24, 16, 12, &words);
    let frame = match uid {
        RLE => rle(&words),
        JPEG_LOSSLESS | "1.2.840.10008.1.2.4.57" => {
            include_bytes!("fixtures/lossless.jpg").to_vec()
        }
        JPEG_LS => jpeg_ls(&words, 24, 16),
        "1.2.840.10008.1.2.4.81" => include_bytes!("fixtures/near.jls").to_vec(),
        JPEG_2000 | JPEG_2000_LOSSY => include_bytes!("fixtures/lossless.j2k").to_vec(),
        JPEG_BASELINE | "1.2.840.10008.1.2.4.51" => {
            let jpeg = include_bytes!("fixtures/oriented.jpg").to_vec();
            return Dicom::new(24, 16, 8, &[])
                .with(BITS_ALLOCATED, us(8))
                .coded(uid, jpeg);
        }
        _ => return file.in_syntax(uid),
    };
    file.coded(uid, frame)
}

#[test]
fn transfer_syntaxes_are_read_or_refused_as_documented() {
    let uncompressed = decode(&Dicom::new(24, 16, 12, &ramp(24, 16)).file()).expect("a valid file");
    let uncompressed: Vec<u8> = uncompressed.pixels.iter().copied().collect();
    let pillow: Vec<u8> = include_str!("fixtures/oriented.txt")
        .split_whitespace()
        .map(|level| level.parse().expect("a number"))
        .collect();
    let rows = rows();
    assert_eq!(rows.len(), 19);
    for (uid, verdict) in rows {
        let result = decode(&coded(uid).file());
        if verdict == "refused" {
            let error = result.expect_err(uid);
            let format = Format::Dicom;
            assert!(
                matches!(&error, DecodeError::Unsupported { format: f, .. } if *f == format),
                "{uid}: {error}"
            );
            assert!(error.to_string().contains(uid), "{error}");
            continue;
        }
        assert_eq!(verdict, "read");
        let image = result.expect(uid);
        assert_eq!(image.warnings.len(), 0, "{uid}: {:?}", image.warnings);
        // Lossy: what Pillow reads in the JPEG, and 3 of 4095 levels.
        let (right, most) = match uid {
            JPEG_BASELINE | "1.2.840.10008.1.2.4.51" => (&pillow, 1),
            "1.2.840.10008.1.2.4.81" => (&uncompressed, 1),
            _ => (&uncompressed, 0),
        };
        for (ours, right) in image.pixels.iter().zip(right) {
            assert!(ours.abs_diff(*right) <= most, "{uid}: {ours} {right}");
        }
    }
}

fn refused(file: &[u8]) -> String {
    let error = decode(file).expect_err("not supported");
    assert!(matches!(error, DecodeError::Unsupported { .. }), "{error}");
    error.to_string()
}

#[test]
fn dicom_content_is_refused_as_documented() {
    let file = Dicom::new(1, 2, 16, &[1, 2]);
    let palette = file.clone().with(PHOTOMETRIC, cs("PALETTE COLOR"));
    assert!(refused(&palette.file()).contains("a pixel type other than"));
    let wide = file.clone().with(BITS_ALLOCATED, us(32));
    assert!(refused(&wide.file()).contains("32 bits allocated"));
    let colour = file
        .with(0x0028_0002, us(3))
        .with(BITS_ALLOCATED, us(8))
        .with(BITS_STORED, us(8))
        .with(HIGH_BIT, us(7))
        .with(PHOTOMETRIC, cs("YBR_FULL_422"));
    assert!(refused(&colour.file()).contains("YBR_FULL_422"));
    let frame = jpeg_ls(&[1, 2], 1, 2);
    assert!(refused(&colour.coded(JPEG_LS, frame).file()).contains("JPEG-LS colour"));
}

#[test]
fn raster_content_is_refused_as_documented() {
    // A frame header of four components, and the end.
    let cmyk = b"\xff\xd8\xff\xc0\0\x14\x08\0\x08\0\x08\x04\x01\x11\0\x02\x11\0\x03\x11\0\x04\x11\0\xff\xd9";
    assert!(refused(cmyk).contains("4 components"));
    // Eight pixels of one bit.
    let mut file = Cursor::new(Vec::new());
    let mut encoder = TiffEncoder::new(&mut file).expect("in memory");
    let mut folder = encoder.image_directory().expect("in memory");
    let strip = folder.write_data(&[0b1010_1010_u8][..]).expect("in memory");
    for (tag, value) in [
        (Tag::ImageWidth, 8_u32),
        (Tag::ImageLength, 1),
        (Tag::BitsPerSample, 1),
        (Tag::Compression, 1),
        (Tag::PhotometricInterpretation, 1),
        (Tag::RowsPerStrip, 1),
        (Tag::StripOffsets, strip as u32),
        (Tag::StripByteCounts, 1),
    ] {
        folder.write_tag(tag, value).expect("a valid tag");
    }
    folder.finish().expect("in memory");
    assert!(refused(file.get_ref()).contains("the pixel type Gray(1)"));
}
