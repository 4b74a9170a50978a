//! DICOM files against closed forms of each stage, in every supported transfer syntax.

#![cfg(feature = "decode")]

mod support;

use medfocus_imaging::decode::{DecodeError, Decoded, decode};
use support::*;

const ROWS_: usize = 24;
const COLUMNS_: usize = 16;

fn ramp_file() -> Dicom {
    Dicom::new(24, 16, 12, &ramp(ROWS_, COLUMNS_))
}

/// Stretched from the minimum and maximum, rounded half to even.
fn stretched(values: &[f64]) -> Vec<u8> {
    let min = values.iter().copied().fold(f64::INFINITY, f64::min);
    let max = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let level = |v: &f64| ((v - min) / (max - min) * 255.0).round_ties_even() as u8;
    values.iter().map(level).collect()
}

fn levels(decoded: &Decoded) -> Vec<u8> {
    decoded.pixels.iter().copied().collect()
}

fn decoded(file: &Dicom) -> Decoded {
    decode(&file.file()).expect("a valid file")
}

/// The image of one row of `values`, 16 bits.
fn row(values: &[u16]) -> Dicom {
    Dicom::new(1, values.len() as u16, 16, values)
}

fn error(bytes: &[u8]) -> String {
    let error = decode(bytes).expect_err("an invalid file").to_string();
    assert!(
        !error.contains("SECRET") && !error.contains('\n'),
        "{error}"
    );
    error
}

#[test]
fn every_transfer_syntax_gives_the_same_image() {
    let words = ramp(ROWS_, COLUMNS_);
    let values: Vec<f64> = words.iter().map(|&w| f64::from(w)).collect();
    let expected = stretched(&values);
    let file = ramp_file();
    let jpeg = include_bytes!("fixtures/lossless.jpg").to_vec();
    let j2k = include_bytes!("fixtures/lossless.j2k").to_vec();
    let coded = [
        file.clone(),
        file.clone().in_syntax(IMPLICIT),
        file.clone().in_syntax(BIG_ENDIAN),
        file.clone().in_syntax(DEFLATED),
        file.clone().coded(RLE, rle(&words)),
        file.clone().coded(JPEG_LOSSLESS, jpeg),
        file.clone().coded(JPEG_LS, jpeg_ls(&words, 24, 16)),
        file.clone().coded(JPEG_2000, j2k),
    ];
    for file in coded {
        let image = decoded(&file);
        assert_eq!(image.pixels.dim(), (ROWS_, COLUMNS_));
        assert_eq!(levels(&image), expected, "{}", image.source);
        assert!(image.warnings.is_empty(), "{:?}", image.warnings);
    }
}

#[test]
fn headless_files_are_read_with_a_warning() {
    for syntax in [IMPLICIT, EXPLICIT] {
        let file = ramp_file().in_syntax(syntax);
        let image = decode(&file.headless()).expect("a valid file");
        assert_eq!(image.pixels, decoded(&file).pixels);
        assert!(
            image.warnings[0].contains("transfer syntax"),
            "{:?}",
            image.warnings
        );
    }
    let bare = &ramp_file().file()[128..];
    assert_eq!(
        decode(bare).expect("a valid file").pixels,
        decoded(&ramp_file()).pixels
    );
}

#[test]
fn the_preamble_may_look_like_another_format() {
    let mut file = ramp_file().file();
    file[..4].copy_from_slice(b"II*\0");
    assert_eq!(decode(&file).expect("a valid file"), decoded(&ramp_file()));
}

#[test]
fn linear_window() {
    let values = [0, 29, 30, 31, 40, 49, 50, 51, 1000];
    let file = row(&values)
        .with(WINDOW_CENTRE, ds("40\\7"))
        .with(WINDOW_WIDTH, ds("20\\9"));
    let image = decoded(&file);
    // PS3.3 C.11.2.1.2.1 with c = 40, w = 20.
    let expected = values.map(|x| ((f64::from(x) - 39.5) / 19.0 + 0.5).clamp(0.0, 1.0) * 255.0);
    assert_eq!(levels(&image), expected.map(|y| y.round_ties_even() as u8));
    assert_eq!(
        image.source,
        "DICOM MONOCHROME2 16-bit, uncompressed, window 40/20"
    );
}

#[test]
fn exact_and_sigmoid_windows() {
    let values = [0, 30, 31, 40, 49, 50, 1000];
    let window = row(&values)
        .with(WINDOW_CENTRE, ds("40"))
        .with(WINDOW_WIDTH, ds(" 20 "));
    let exact = decoded(&window.clone().with(VOI_FUNCTION, cs("LINEAR_EXACT")));
    let expected = values.map(|x| ((f64::from(x) - 40.0) / 20.0 + 0.5).clamp(0.0, 1.0));
    assert_eq!(levels(&exact), stretched(&expected));
    let sigmoid = decoded(&window.with(VOI_FUNCTION, cs("SIGMOID ")));
    let expected = values.map(|x| 1.0 / (1.0 + (-4.0 * (f64::from(x) - 40.0) / 20.0).exp()));
    assert_eq!(levels(&sigmoid), stretched(&expected));
    assert!(sigmoid.source.ends_with("window 40/20 (sigmoid)"));
}

#[test]
fn monochrome1_is_inverted_after_the_window() {
    let values = [0, 100, 300, 400];
    let file = row(&values)
        .with(WINDOW_CENTRE, ds("100"))
        .with(WINDOW_WIDTH, ds("201"));
    let plain = levels(&decoded(&file));
    let inverted = levels(&decoded(&file.with(PHOTOMETRIC, cs("MONOCHROME1"))));
    assert_eq!(plain, [0, 128, 255, 255]);
    assert_eq!(inverted, [255, 127, 0, 0]);
}

#[test]
fn rescaling_comes_before_the_window() {
    let file = row(&[0, 10, 20, 30])
        .with(SLOPE, ds("2.0"))
        .with(INTERCEPT, ds("-1000"))
        .with(WINDOW_CENTRE, ds("-980"))
        .with(WINDOW_WIDTH, ds("20"))
        .with(VOI_FUNCTION, cs("LINEAR_EXACT"));
    // Values -1000, -980, -960, -940: below, centre, above, above.
    assert_eq!(levels(&decoded(&file)), [0, 128, 255, 255]);
}

#[test]
fn signed_values_are_sign_extended_from_their_stored_bits() {
    // 12 bits at bits 2..=13; what lies outside is noise.
    let words = [-2048_i32, -1, 0, 2047].map(|v| (((v & 0xfff) as u16) << 2) | 0xc003);
    let file = Dicom::new(1, 4, 12, &words)
        .with(HIGH_BIT, us(13))
        .with(SIGNED, us(1));
    assert_eq!(
        levels(&decoded(&file)),
        stretched(&[-2048.0, -1.0, 0.0, 2047.0])
    );
}

#[test]
fn padding_is_black_and_outside_the_stretch() {
    let file = row(&[65535, 100, 200, 300, 60000]);
    let one = file.clone().with(PADDING, us(65535));
    assert_eq!(levels(&decoded(&one)), {
        let mut expected = stretched(&[100.0, 200.0, 300.0, 60000.0]);
        expected.insert(0, 0);
        expected
    });
    let range = one
        .with(PADDING_LIMIT, us(50000))
        .with(PHOTOMETRIC, cs("MONOCHROME1"));
    assert_eq!(levels(&decoded(&range)), [0, 255, 128, 0, 0]);
    // A signed value, written as unsigned.
    let signed = row(&[0x8000, 0, 10])
        .with(SIGNED, us(1))
        .with(PADDING, us(0x8000));
    assert_eq!(levels(&decoded(&signed)), [0, 0, 255]);
}

#[test]
fn lookup_tables() {
    let table = |first: u16, entries: &[u16]| {
        item(vec![
            (
                LUT_DESCRIPTOR,
                Value::Words(b"US", vec![entries.len() as u16, first, 16]),
            ),
            (LUT_DATA, Value::Words(b"US", entries.to_vec())),
        ])
    };
    let file = row(&[0, 10, 11, 12, 99]);
    for syntax in [EXPLICIT, IMPLICIT, BIG_ENDIAN] {
        let voi = file
            .clone()
            .with(VOI_LUT, table(10, &[5, 1, 9]))
            .in_syntax(syntax);
        let image = decoded(&voi);
        assert_eq!(levels(&image), stretched(&[5.0, 5.0, 1.0, 9.0, 9.0]));
        assert!(image.source.ends_with("VOI lookup table"));
    }
    let modality = file
        .with(MODALITY_LUT, table(10, &[5, 1, 9]))
        .with(WINDOW_CENTRE, ds("5"))
        .with(WINDOW_WIDTH, ds("8"))
        .with(VOI_FUNCTION, cs("LINEAR_EXACT"));
    assert_eq!(
        levels(&decoded(&modality)),
        stretched(&[5.0, 5.0, 1.0, 9.0, 9.0])
    );
}

/// Lookup tables from the descriptor and the data.
fn table(descriptor: [u16; 3], data: Value) -> Value {
    let descriptor = Value::Words(b"US", descriptor.to_vec());
    item(vec![(LUT_DESCRIPTOR, descriptor), (LUT_DATA, data)])
}

#[test]
fn the_first_mapped_value_is_signed_if_the_input_can_be_negative() {
    let entries = Value::Words(b"OW", vec![5, 1, 9]);
    // 40000 is 40000 of an unsigned input, whatever the rescaling says that changes nothing...
    let unsigned = row(&[0, 39_999, 40_000, 40_001, 40_002, 65_535])
        .with(SLOPE, ds("1"))
        .with(INTERCEPT, ds("0"))
        .with(VOI_LUT, table([3, 40_000, 16], entries.clone()));
    let expected = stretched(&[5.0, 5.0, 5.0, 1.0, 9.0, 9.0]);
    assert_eq!(levels(&decoded(&unsigned)), expected);
    // ... and -25536 of one that rescaling makes negative.
    let rescaled = row(&[0, 4464, 4465, 4466, 65_535])
        .with(SLOPE, ds("1"))
        .with(INTERCEPT, ds("-30000"))
        .with(VOI_LUT, table([3, 40_000, 16], entries.clone()));
    let expected = stretched(&[5.0, 5.0, 1.0, 9.0, 9.0]);
    assert_eq!(levels(&decoded(&rescaled)), expected);
    // A modality table gives no negative values, though the stored ones are signed.
    let modality = row(&[0xffff, 0, 1])
        .with(SIGNED, us(1))
        .with(
            MODALITY_LUT,
            table(
                [3, 0xffff, 16],
                Value::Words(b"OW", vec![40_000, 40_001, 40_002]),
            ),
        )
        .with(VOI_LUT, table([3, 40_000, 16], entries));
    assert_eq!(levels(&decoded(&modality)), stretched(&[5.0, 1.0, 9.0]));
}

#[test]
fn short_lookup_tables_are_used_or_named() {
    let file = row(&[9, 10, 11, 12, 99]);
    let plain = decoded(&file);
    let one_short = Value::Words(b"OW", vec![5, 1, 9]);
    let image = decoded(&file.clone().with(VOI_LUT, table([4, 10, 16], one_short)));
    assert_eq!(levels(&image), stretched(&[5.0, 5.0, 1.0, 9.0, 9.0]));
    assert!(image.warnings[0].contains("VOI lookup table lacks its last entry"));
    let bytes = Value::Bytes(vec![5, 1, 9]);
    let image = decoded(&file.clone().with(VOI_LUT, table([3, 10, 8], bytes)));
    assert_eq!(levels(&image), stretched(&[5.0, 5.0, 1.0, 9.0, 9.0]));
    assert_eq!(image.warnings.len(), 0, "{:?}", image.warnings);
    let half = Value::Words(b"OW", vec![5, 1]);
    let image = decoded(&file.clone().with(MODALITY_LUT, table([4, 10, 16], half)));
    assert_eq!(image.pixels, plain.pixels);
    assert!(image.warnings[0].contains("modality lookup table has too few entries"));
    let empty = item(vec![(LUT_DATA, Value::Words(b"OW", vec![1]))]);
    let image = decoded(&file.with(VOI_LUT, empty));
    assert!(image.warnings[0].contains("VOI lookup table is incomplete"));
}

#[test]
fn elements_of_unknown_type_are_read_by_the_dictionary() {
    let file = row(&[0, 30, 40, 50, 999])
        .with(PHOTOMETRIC, cs("MONOCHROME1"))
        .with(SLOPE, ds("2"))
        .with(INTERCEPT, ds("-20"))
        .with(PADDING, us(999))
        .with(WINDOW_CENTRE, ds("60"))
        .with(WINDOW_WIDTH, ds("30"));
    let untyped = file
        .clone()
        .with(PHOTOMETRIC, unknown(b"MONOCHROME1 "))
        .with(SLOPE, unknown(b"2 "))
        .with(INTERCEPT, unknown(b"-20\0"))
        .with(PADDING, unknown(&999_u16.to_le_bytes()))
        .with(WINDOW_CENTRE, unknown(b"60"))
        .with(WINDOW_WIDTH, unknown(b"30"));
    assert_eq!(decoded(&untyped), decoded(&file));
    // Values -20, 40, 60, 80 in the window 45 to 74 (C.11.2.1.2.1), inverted; padding is black.
    let middle = (1.0 - ((60.0 - 59.5) / 29.0 + 0.5)) * 255.0;
    assert_eq!(levels(&decoded(&file)), [255, 255, middle as u8, 0, 0]);
    // What still cannot be read is named.
    let image = decoded(&row(&[1, 2]).with(SLOPE, ds("two")));
    assert_eq!(
        image.warnings,
        ["RescaleSlope cannot be read as a number and is ignored"]
    );
}

/// One item of `elements` in implicit VR, with delimiters instead of lengths.
fn delimited(elements: &[(u32, Value)]) -> Vec<u8> {
    let nested = Dicom {
        transfer: IMPLICIT,
        elements: elements.iter().cloned().collect(),
    };
    let start = b"\xfe\xff\x00\xe0\xff\xff\xff\xff";
    let end = b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0";
    [&start[..], &nested.headless(), end].concat()
}

#[test]
fn unknown_sequences_of_undefined_length_hold_implicit_elements() {
    let (columns, centre) = ((COLUMNS, us(3)), (WINDOW_CENTRE, ds("1")));
    let within = Value::Raw(b"SQ", delimited(std::slice::from_ref(&centre)), u32::MAX);
    let private = delimited(&[columns, centre, (VOI_LUT, within)]);
    let file = ramp_file().with(0x0054_1001, Value::Raw(b"UN", private, u32::MAX));
    assert_eq!(decoded(&file), decoded(&ramp_file()));
    // A table in one is read.
    let lut = delimited(&[
        (LUT_DESCRIPTOR, Value::Words(b"US", vec![3, 10, 16])),
        (LUT_DATA, Value::Words(b"OW", vec![5, 1, 9])),
    ]);
    let file = row(&[0, 10, 11, 12]).with(VOI_LUT, Value::Raw(b"UN", lut, u32::MAX));
    assert_eq!(levels(&decoded(&file)), stretched(&[5.0, 5.0, 1.0, 9.0]));
}

#[test]
fn only_the_top_level_is_the_image() {
    let words = ramp(ROWS_, COLUMNS_);
    let small = Value::Fragments(vec![Vec::new(), rle(&[1, 2, 3, 4])]);
    let nested = |pixels: Value| {
        vec![
            (PHOTOMETRIC, cs("MONOCHROME1")),
            (ROWS, us(2)),
            (COLUMNS, us(2)),
            (WINDOW_CENTRE, ds("1")),
            (WINDOW_WIDTH, ds("2")),
            (VOI_LUT, table([1, 0, 16], Value::Words(b"OW", vec![7]))),
            (PIXEL_DATA, pixels),
        ]
    };
    let icons = [
        vec![nested(small.clone())],
        vec![nested(small.clone()), nested(small.clone())],
        vec![nested(Value::Words(b"OW", vec![1, 2, 3, 4])); 3],
        vec![vec![(0x0009_1002, Value::Items(vec![nested(small); 2]))]; 2],
    ];
    for icon in icons {
        for file in [ramp_file(), ramp_file().coded(RLE, rle(&words))] {
            let plain = decoded(&file);
            for tag in [0x0009_1001, 0x0088_0200, 0x0008_1140] {
                let file = file.clone().with(tag, Value::Items(icon.clone()));
                assert_eq!(decoded(&file), plain, "{tag:x}");
            }
        }
    }
    // Not a table of the top level either, if it is that of an icon.
    let icon = item(vec![(
        VOI_LUT,
        table([1, 0, 16], Value::Words(b"OW", vec![7])),
    )]);
    assert_eq!(
        decoded(&ramp_file().with(0x0088_0200, icon)),
        decoded(&ramp_file())
    );
}

#[test]
fn value_representations_are_read_as_they_are_written() {
    let plain = decoded(&ramp_file());
    for (stated, written) in [(EXPLICIT, IMPLICIT), (IMPLICIT, EXPLICIT)] {
        let meta = ramp_file().in_syntax(stated);
        let meta = &meta.file()[..meta.file().len() - meta.headless().len()];
        let file = [meta, &ramp_file().in_syntax(written).headless()].concat();
        let image = decode(&file).expect("a valid file");
        assert_eq!(image.pixels, plain.pixels);
        assert!(image.warnings[0].contains("value representations"));
    }
}

#[test]
fn what_the_header_says_of_shape_and_side_is_warned_of() {
    const ASPECT: u32 = 0x0028_0034;
    const SPACING: u32 = 0x0028_0030;
    const IMAGER: u32 = 0x0018_1164;
    const ORIENTATION: u32 = 0x0020_0020;
    let said = [
        (ASPECT, Value::Text(b"IS", "1\\1".into()), None),
        (
            ASPECT,
            Value::Text(b"IS", "2\\1".into()),
            Some("2.00 times as high"),
        ),
        (SPACING, ds("0.143\\0.143"), None),
        (
            SPACING,
            ds("0.2\\0.4"),
            Some("PixelSpacing says that pixels are 0.50 times"),
        ),
        (IMAGER, ds("0.1\\0.2"), Some("ImagerPixelSpacing")),
        (ORIENTATION, cs("L\\F"), None),
        (ORIENTATION, cs("A\\F"), None),
        (ORIENTATION, cs("P\\FL"), None),
        (ORIENTATION, cs("R\\F"), Some("is mirrored")),
        (ORIENTATION, cs("RA\\FP"), Some("is mirrored")),
        (ORIENTATION, cs("R\\H"), Some("turned by 180 degrees")),
        (ORIENTATION, cs("L\\H"), Some("upside down")),
        (ORIENTATION, cs("F\\R"), Some("turned by a quarter")),
        (ORIENTATION, cs("SECRET"), None),
    ];
    for (tag, value, warning) in said {
        let image = decoded(&ramp_file().with(tag, value));
        assert_eq!(image.pixels, decoded(&ramp_file()).pixels);
        match warning {
            None => assert!(image.warnings.is_empty(), "{:?}", image.warnings),
            Some(part) => assert!(image.warnings[0].contains(part), "{:?}", image.warnings),
        }
    }
}

#[test]
fn useless_windows_are_ignored_with_a_warning() {
    let plain = decoded(&row(&[1, 2, 3]));
    let narrow = row(&[1, 2, 3])
        .with(WINDOW_CENTRE, ds("2"))
        .with(WINDOW_WIDTH, ds("0"));
    let outside = row(&[1, 2, 3])
        .with(WINDOW_CENTRE, ds("500"))
        .with(WINDOW_WIDTH, ds("10"));
    for file in [narrow, outside] {
        let image = decoded(&file);
        assert_eq!(image.pixels, plain.pixels);
        assert_eq!(image.warnings.len(), 1, "{:?}", image.warnings);
    }
}

#[test]
fn colour_becomes_luma() {
    let rgb = |planar: u16, bytes: &[u8]| {
        Dicom::new(1, 2, 8, &[])
            .with(0x0028_0002, us(3))
            .with(0x0028_0006, us(planar))
            .with(PHOTOMETRIC, cs("RGB"))
            .with(BITS_ALLOCATED, us(8))
            .with(PIXEL_DATA, Value::Bytes(bytes.to_vec()))
    };
    // 0.299, 0.587 and 0.114 of 255.
    assert_eq!(
        levels(&decoded(&rgb(0, &[255, 0, 0, 0, 255, 0]))),
        [76, 150]
    );
    assert_eq!(
        levels(&decoded(&rgb(1, &[255, 0, 0, 255, 0, 0]))),
        [76, 150]
    );
    let luma = rgb(0, &[7, 1, 2, 8, 3, 4]).with(PHOTOMETRIC, cs("YBR_FULL"));
    assert_eq!(levels(&decoded(&luma)), [7, 8]);
}

#[test]
fn of_several_frames_the_first_is_taken() {
    let first = ramp(ROWS_, COLUMNS_);
    let second: Vec<u16> = first.iter().map(|word| 4095 - word).collect();
    let single = decoded(&ramp_file());
    let native = Dicom::new(24, 16, 12, &[&first[..], &second].concat());
    let frames = vec![Vec::new(), rle(&first), rle(&second)];
    let coded = ramp_file()
        .coded(RLE, Vec::new())
        .with(PIXEL_DATA, Value::Fragments(frames));
    // The first frame in two fragments, found by the offset table.
    let whole = rle(&first);
    let (a, b) = whole.split_at(100);
    let second_offset = (whole.len() as u32 + 16).to_le_bytes();
    let table = [[0; 4], second_offset].concat();
    let split = vec![table, a.to_vec(), b.to_vec(), rle(&second)];
    let split = ramp_file()
        .coded(RLE, Vec::new())
        .with(PIXEL_DATA, Value::Fragments(split));
    for file in [native, coded, split] {
        let image = decoded(&file.with(FRAMES, Value::Text(b"IS", "2".into())));
        assert_eq!(image.pixels, single.pixels);
        assert_eq!(
            image.warnings,
            ["the file has 2 frames: only the first is used"]
        );
    }
}

#[test]
fn lossy_jpeg_2000_is_clamped_to_its_range() {
    // Black and white columns, as the encoder was given them: what overshoots must not wrap.
    let stream = include_bytes!("fixtures/overshoot.j2k").to_vec();
    let file = Dicom::new(32, 32, 10, &[]).coded(JPEG_2000_LOSSY, stream);
    for (photometric, dark) in [("MONOCHROME2", 0_u8), ("MONOCHROME1", 255)] {
        let image = decoded(&file.clone().with(PHOTOMETRIC, cs(photometric)));
        for ((_, x), &level) in image.pixels.indexed_iter() {
            let expected = if x % 5 < 2 { dark } else { 255 - dark };
            assert!(level.abs_diff(expected) < 16, "{x}: {level} {expected}");
        }
    }
}

#[test]
fn signed_jpeg_2000_is_not_shifted() {
    let stream = include_bytes!("fixtures/signed.j2k").to_vec();
    let values: Vec<f64> = ramp(ROWS_, COLUMNS_)
        .iter()
        .map(|&word| f64::from(word) - 2048.0)
        .collect();
    // The window shows where zero is.
    let file = Dicom::new(24, 16, 16, &[])
        .with(SIGNED, us(1))
        .with(WINDOW_CENTRE, ds("0"))
        .with(WINDOW_WIDTH, ds("2000"))
        .with(VOI_FUNCTION, cs("LINEAR_EXACT"))
        .coded(JPEG_2000, stream);
    let shown = values.iter().map(|v| (v / 2000.0 + 0.5).clamp(0.0, 1.0));
    let expected = stretched(&shown.collect::<Vec<f64>>());
    let image = decoded(&file);
    assert_eq!(levels(&image), expected);
    assert_eq!(image.warnings.len(), 0, "{:?}", image.warnings);
    // The frame knows better than the header.
    let image = decoded(&file.with(SIGNED, us(0)));
    assert_eq!(levels(&image), expected);
    assert!(image.warnings[0].contains("PixelRepresentation"));
}

#[test]
fn jpeg_2000_may_leave_a_length_open_and_lie_in_boxes() {
    let plain = decoded(&ramp_file());
    let stream = include_bytes!("fixtures/lossless.j2k");
    let mut open = stream.to_vec();
    let tile_part = open.windows(2).position(|pair| pair == [0xff, 0x90]);
    let length = tile_part.expect("a tile-part") + 6;
    open[length..length + 4].fill(0);
    let boxed = |kind: &[u8; 4], body: &[u8]| {
        let length = (body.len() as u32 + 8).to_be_bytes();
        [&length[..], kind, body].concat()
    };
    let signature = boxed(b"jP  ", b"\r\n\x87\n");
    let jp2 = [
        signature,
        boxed(b"free", &[1, 2, 3]),
        boxed(b"jp2c", stream),
    ]
    .concat();
    let mut to_the_end = jp2.clone();
    let start = jp2.len() - stream.len() - 8;
    to_the_end[start..start + 4].fill(0);
    for frame in [open, jp2, to_the_end] {
        let image = decoded(&ramp_file().coded(JPEG_2000, frame));
        assert_eq!(image.pixels, plain.pixels);
    }
}

#[test]
fn frames_in_several_fragments_end_at_their_end_marker() {
    let first = ramp(ROWS_, COLUMNS_);
    let second: Vec<u16> = first.iter().map(|word| 4095 - word).collect();
    let mut fragments = vec![Vec::new()];
    for words in [&first, &second] {
        let frame = jpeg_ls(words, 24, 16);
        let (a, b) = frame.split_at(200);
        fragments.extend([a.to_vec(), b.to_vec()]);
    }
    let file = ramp_file()
        .in_syntax(JPEG_LS)
        .with(FRAMES, Value::Text(b"IS", "2".into()))
        .with(PIXEL_DATA, Value::Fragments(fragments));
    assert_eq!(decoded(&file).pixels, decoded(&ramp_file()).pixels);
}

#[test]
fn errors_are_one_sentence_that_names_the_cause() {
    let bomb = ramp_file().with(ROWS, us(65535)).with(COLUMNS, us(65535));
    assert!(matches!(
        decode(&bomb.file()),
        Err(DecodeError::Size { .. })
    ));
    let bomb = ramp_file().coded(JPEG_2000, include_bytes!("fixtures/lossless.j2k").to_vec());
    assert!(error(&bomb.with(ROWS, us(8000)).file()).contains("another size than its header"));
    assert!(error(&ramp_file().without(ROWS).file()).contains("number of rows"));
    assert!(error(&ramp_file().without(PIXEL_DATA).file()).contains("without pixel data"));
    assert!(error(&ramp_file().with(ROWS, us(25)).file()).contains("too short"));
    assert!(error(&ramp_file().with(BITS_STORED, us(20)).file()).contains("numbers of bits"));
    let jxl = error(&ramp_file().in_syntax("1.2.840.10008.1.2.4.110").file());
    assert!(
        jxl.contains("JPEG XL") && jxl.contains("uncompress the file first"),
        "{jxl}"
    );
    let unknown = error(&ramp_file().in_syntax("1.2.3.4").file());
    assert!(
        unknown.contains("the unknown transfer syntax 1.2.3.4"),
        "{unknown}"
    );
    let secret = error(&ramp_file().in_syntax("SECRET").file());
    assert!(secret.contains("an unknown transfer syntax"), "{secret}");
    let file = ramp_file().file();
    assert!(error(&file[..file.len() - 10]).contains("cut short"));
    let padded = row(&[7, 7]).with(PADDING, us(7));
    assert!(error(&padded.file()).contains("every pixel is padding"));
}
