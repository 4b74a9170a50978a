//! JPEG streams, alone and in DICOM: hand-made ones of flat blocks, whose pixels are known, and some
//! of libjpeg's.

#![cfg(feature = "decode")]

mod support;

use medfocus_imaging::decode::{Decoded, decode};
use support::*;

const JFIF: &[u8] = b"\xff\xe0\0\x10JFIF\0\x01\x02\0\0\x01\0\x01\0\0";
const ADOBE_RGB: &[u8] = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\0";
const ADOBE_YCBCR: &[u8] = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\x01";

/// A baseline stream of 8 x 8 blocks that are flat.
#[derive(Clone)]
struct Flat {
    process: u8,
    bits: u8,
    /// Segments before the frame header.
    markers: Vec<u8>,
    /// Of each component its identifier, its factor of sampling in both directions, and the levels of
    /// its blocks, row by row.
    components: Vec<(u8, usize, Vec<Vec<u8>>)>,
    /// A scan for each component instead of one for all.
    separate: bool,
    /// MCUs from one restart marker to the next.
    restart: usize,
}

impl Flat {
    fn gray(blocks: Vec<Vec<u8>>) -> Self {
        Self {
            process: 0xc0,
            bits: 8,
            markers: Vec::new(),
            components: vec![(1, 1, blocks)],
            separate: false,
            restart: 0,
        }
    }

    fn size(&self) -> (u16, u16) {
        let blocks = &self.components[0].2;
        (8 * blocks.len() as u16, 8 * blocks[0].len() as u16)
    }

    /// The intervals of a scan of the components `of`.
    fn intervals(&self, of: &[usize]) -> Vec<Vec<u8>> {
        let unit = |index: usize| {
            let factor = if of.len() > 1 {
                self.components[index].1
            } else {
                1
            };
            (factor, &self.components[index].2)
        };
        let (factor, blocks) = unit(of[0]);
        let (down, across) = (blocks.len() / factor, blocks[0].len() / factor);
        let mut intervals = vec![String::new()];
        let mut before = vec![128; of.len()];
        for mcu in 0..down * across {
            if self.restart > 0 && mcu > 0 && mcu % self.restart == 0 {
                intervals.push(String::new());
                before.fill(128);
            }
            let bits = intervals.last_mut().expect("one at least");
            for (&index, before) in of.iter().zip(&mut before) {
                let (factor, blocks) = unit(index);
                let (top, left) = (mcu / across * factor, mcu % across * factor);
                for block in 0..factor * factor {
                    let level = i32::from(blocks[top + block / factor][left + block % factor]);
                    let difference = level - *before;
                    *before = level;
                    let size = 32 - difference.unsigned_abs().leading_zeros();
                    let low = if difference < 0 {
                        difference + (1 << size) - 1
                    } else {
                        difference
                    };
                    *bits += &format!("{size:04b}");
                    if size > 0 {
                        *bits += &format!("{low:0width$b}", width = size as usize);
                    }
                    // The end of the block.
                    *bits += "0";
                }
            }
        }
        let packed = |bits: String| {
            let bits = bits.into_bytes();
            let bytes = bits.chunks(8).map(|chunk| {
                let ones = (chunk.len()..8).fold(0, |ones, at| ones | 1_u8 << (7 - at));
                let bit = |(at, &bit): (usize, &u8)| (bit - b'0') << (7 - at);
                chunk.iter().enumerate().map(bit).sum::<u8>() | ones
            });
            bytes
                .flat_map(|byte| {
                    if byte == 0xff {
                        vec![0xff, 0]
                    } else {
                        vec![byte]
                    }
                })
                .collect()
        };
        intervals.into_iter().map(packed).collect()
    }

    fn stream(&self) -> Vec<u8> {
        self.stream_of(|scan| self.intervals(scan))
    }

    fn stream_of(&self, intervals: impl Fn(&[usize]) -> Vec<Vec<u8>>) -> Vec<u8> {
        let mut out = vec![0xff, 0xd8];
        out.extend(&self.markers);
        // Quantised by 8, a flat block is coded as its level less 128.
        segment(&mut out, 0xdb, &[&[0][..], &[8; 64]].concat());
        // Differences of 0 to 11 bits have codes of 4 bits in order; the end of a block has one bit.
        let sizes: Vec<u8> = (0..12).collect();
        segment(
            &mut out,
            0xc4,
            &[&[0, 0, 0, 0, 12][..], &[0; 12], &sizes].concat(),
        );
        segment(&mut out, 0xc4, &[&[0x10, 1][..], &[0; 15], &[0]].concat());
        let (rows, columns) = self.size();
        let mut frame = vec![self.bits];
        frame.extend(rows.to_be_bytes());
        frame.extend(columns.to_be_bytes());
        frame.push(self.components.len() as u8);
        for (id, factor, _) in &self.components {
            frame.extend([*id, (factor << 4 | factor) as u8, 0]);
        }
        segment(&mut out, self.process, &frame);
        segment(&mut out, 0xdd, &(self.restart as u16).to_be_bytes());
        let all: Vec<usize> = (0..self.components.len()).collect();
        let scans = if self.separate {
            all.chunks(1)
        } else {
            all.chunks(all.len())
        };
        for scan in scans {
            let mut header = vec![scan.len() as u8];
            header.extend(scan.iter().flat_map(|&index| [self.components[index].0, 0]));
            header.extend([0, 63, 0]);
            segment(&mut out, 0xda, &header);
            for (i, interval) in intervals(scan).iter().enumerate() {
                if i > 0 {
                    out.extend([0xff, 0xd0 + (i as u8 - 1) % 8]);
                }
                out.extend(interval);
            }
        }
        out.extend([0xff, 0xd9]);
        out
    }
}

fn segment(out: &mut Vec<u8>, marker: u8, body: &[u8]) {
    out.extend([0xff, marker]);
    out.extend((body.len() as u16 + 2).to_be_bytes());
    out.extend(body);
}

/// `rows` x `columns` blocks of many levels.
fn blocks(rows: usize, columns: usize) -> Vec<Vec<u8>> {
    let level = |y: usize, x: usize| (20 + (y * columns + x) * 73 % 211) as u8;
    (0..rows)
        .map(|y| (0..columns).map(|x| level(y, x)).collect())
        .collect()
}

/// An 8-bit frame in a DICOM file.
fn dicom(rows: u16, columns: u16, photometric: &str, stream: Vec<u8>) -> Dicom {
    let channels = if photometric.starts_with("MONO") {
        1
    } else {
        3
    };
    Dicom::new(rows, columns, 8, &[])
        .with(0x0028_0002, us(channels))
        .with(BITS_ALLOCATED, us(8))
        .with(PHOTOMETRIC, cs(photometric))
        // So that levels are not stretched.
        .with(WINDOW_CENTRE, ds("127.5"))
        .with(WINDOW_WIDTH, ds("255"))
        .with(VOI_FUNCTION, cs("LINEAR_EXACT"))
        .coded(JPEG_BASELINE, stream)
}

fn assert_blocks(image: &Decoded, blocks: &[Vec<u8>]) {
    assert_eq!(image.pixels.dim(), (8 * blocks.len(), 8 * blocks[0].len()));
    for ((y, x), &level) in image.pixels.indexed_iter() {
        let expected = blocks[y / 8][x / 8];
        assert!(level.abs_diff(expected) <= 1, "{y} {x}: {level} {expected}");
    }
}

#[test]
fn each_component_may_have_its_scan_and_sampling() {
    let luma = blocks(6, 4);
    let chroma = vec![vec![128; 2]; 3];
    for (separate, restart) in [(false, 0), (false, 2), (true, 0), (true, 3)] {
        let flat = Flat {
            components: vec![
                (1, 2, luma.clone()),
                (2, 1, chroma.clone()),
                (3, 1, chroma.clone()),
            ],
            separate,
            restart,
            ..Flat::gray(Vec::new())
        };
        let image = decode(&flat.stream()).expect("a valid file");
        assert_blocks(&image, &luma);
        let file = dicom(48, 32, "YBR_FULL_422", flat.stream());
        let image = decode(&file.file()).expect("a valid file");
        assert_blocks(&image, &luma);
        assert_eq!(image.warnings.len(), 0, "{:?}", image.warnings);
    }
    // Of a single component the factor says nothing.
    let flat = Flat {
        components: vec![(1, 2, luma.clone())],
        ..Flat::gray(Vec::new())
    };
    assert_blocks(&decode(&flat.stream()).expect("a valid file"), &luma);
}

#[test]
fn the_frame_says_what_its_colours_are() {
    // Luma of (200, 100, 50) as RGB, and as YCbCr: (91, 255, 150) by T.871.
    let (rgb, ycbcr) = (124_u8, 194_u8);
    let cases = [
        (&b""[..], *b"\x01\x02\x03", None),
        (b"", *b"\0\x01\x02", None),
        (b"", *b"RGB", Some(rgb)),
        (JFIF, *b"\x01\x02\x03", Some(ycbcr)),
        (JFIF, *b"RGB", Some(ycbcr)),
        (ADOBE_RGB, *b"\x01\x02\x03", Some(rgb)),
        (ADOBE_YCBCR, *b"\x01\x02\x03", Some(ycbcr)),
        (ADOBE_YCBCR, *b"RGB", Some(ycbcr)),
    ];
    for (markers, ids, said) in cases {
        let component = |(id, level)| (id, 1, vec![vec![level]]);
        let flat = Flat {
            markers: markers.to_vec(),
            components: ids.into_iter().zip([200, 100, 50]).map(component).collect(),
            ..Flat::gray(Vec::new())
        };
        let image = decode(&flat.stream()).expect("a valid file");
        let expected = said.unwrap_or(ycbcr);
        assert!(image.pixels[[4, 4]].abs_diff(expected) <= 1, "{ids:?}");
        for (label, stated) in [("RGB", rgb), ("YBR_FULL", ycbcr)] {
            let file = dicom(8, 8, label, flat.stream());
            let image = decode(&file.file()).expect("a valid file");
            let expected = said.unwrap_or(stated);
            assert!(
                image.pixels[[4, 4]].abs_diff(expected) <= 1,
                "{ids:?} {label}"
            );
            let warned = image
                .warnings
                .iter()
                .any(|w| w.contains("PhotometricInterpretation"));
            assert_eq!(warned, expected != stated, "{:?}", image.warnings);
        }
    }
}

fn assert_damaged(stream: Vec<u8>) {
    for file in [stream.clone(), dicom(64, 64, "MONOCHROME2", stream).file()] {
        let error = decode(&file).expect_err("a damaged file").to_string();
        assert!(error.contains("damaged or cut short"), "{error}");
    }
}

#[test]
fn damaged_scans_are_refused() {
    for restart in [0, 8, 7] {
        let flat = Flat {
            restart,
            ..Flat::gray(blocks(8, 8))
        };
        let whole = decode(&flat.stream()).expect("a valid file");
        assert_blocks(&whole, &flat.components[0].2);
        // What follows the end is none of the image's.
        let followed = [flat.stream(), b"\xff\xda".to_vec()].concat();
        assert_eq!(decode(&followed).expect("a valid file"), whole);
        let last = flat.intervals(&[0]).len() - 1;
        for hurt in [0, last] {
            let with = |change: &dyn Fn(&mut Vec<Vec<u8>>)| {
                flat.stream_of(|scan| {
                    let mut intervals = flat.intervals(scan);
                    change(&mut intervals);
                    intervals
                })
            };
            // The end of an interval, or a hole in it.
            assert_damaged(with(&|intervals| {
                let half = intervals[hurt].len() / 2;
                intervals[hurt].truncate(half);
            }));
            assert_damaged(with(&|intervals| intervals[hurt].truncate(0)));
            assert_damaged(with(&|intervals| drop(intervals[hurt].drain(..1))));
            if restart > 0 {
                // A lost interval, the others counted on.
                assert_damaged(with(&|intervals| drop(intervals.remove(hurt))));
            }
        }
    }
}

#[test]
fn a_restart_marker_out_of_order_is_refused() {
    let flat = Flat {
        restart: 8,
        ..Flat::gray(blocks(8, 8))
    };
    let mut stream = flat.stream();
    let third = stream.windows(2).position(|pair| pair == [0xff, 0xd2]);
    stream[third.expect("a third marker") + 1] = 0xd3;
    assert_damaged(stream);
}

#[test]
fn progressive_streams_are_read_whole_or_refused() {
    let stream = include_bytes!("fixtures/progressive.jpg");
    let image = decode(stream).expect("a valid file");
    let pillow = include_str!("fixtures/progressive.txt").split_whitespace();
    assert_eq!(image.pixels.dim(), (40, 56));
    for (ours, theirs) in image.pixels.iter().zip(pillow) {
        let theirs: u8 = theirs.parse().expect("a number");
        assert!(ours.abs_diff(theirs) <= 2, "{ours} {theirs}");
    }
    // Each scan without its last bytes, and without all of it.
    let scan = |from: usize| {
        stream[from..]
            .windows(2)
            .position(|pair| pair == [0xff, 0xda])
    };
    let mut from = 0;
    let mut scans = 0;
    while let Some(found) = scan(from) {
        let start = from + found;
        let length = usize::from(u16::from_be_bytes([stream[start + 2], stream[start + 3]]));
        let data = start + 2 + length;
        let is_end = |pair: &[u8]| pair[0] == 0xff && pair[1] != 0;
        let end = data + stream[data..].windows(2).position(is_end).expect("an end");
        let keep = data + (end - data) / 2;
        for cut in [keep..end, data..end, start..end] {
            let mut damaged = stream.to_vec();
            damaged.drain(cut.clone());
            let error = decode(&damaged).expect_err("a damaged file").to_string();
            assert!(
                error.contains("damaged or cut short"),
                "scan {scans}, {cut:?}: {error}"
            );
        }
        scans += 1;
        from = end;
    }
    assert!(scans > 5, "{scans}");
}

#[test]
fn lossless_prediction_starts_anew_and_is_shifted_last() {
    let words = ramp(24, 16);
    let plain = decode(&Dicom::new(24, 16, 12, &words).file()).expect("a valid file");
    let coded = |stream: &[u8]| {
        let file = Dicom::new(24, 16, 12, &[]).coded(JPEG_LOSSLESS, stream.to_vec());
        decode(&file.file()).expect("a valid file")
    };
    assert_eq!(
        coded(include_bytes!("fixtures/restarts.jpg")).pixels,
        plain.pixels
    );
    let shifted: Vec<u16> = words.iter().map(|word| word >> 4 << 4).collect();
    let plain = decode(&Dicom::new(24, 16, 12, &shifted).file()).expect("a valid file");
    assert_eq!(
        coded(include_bytes!("fixtures/shifted.jpg")).pixels,
        plain.pixels
    );
}

#[test]
fn what_is_not_supported_is_named() {
    let refused = |process, bits| {
        let flat = Flat {
            process,
            bits,
            ..Flat::gray(blocks(1, 1))
        };
        let file = dicom(8, 8, "MONOCHROME2", flat.stream()).file();
        decode(&file).expect_err("not supported").to_string()
    };
    assert!(refused(0xc1, 12).contains("JPEG data of 12 bits"));
    assert!(refused(0xc9, 8).contains("arithmetic coding"));
    assert!(refused(0xc5, 8).contains("hierarchical"));
}
