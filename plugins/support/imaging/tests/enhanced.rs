//! Enhanced objects keep windows and rescaling in functional groups (PS3.3, C.7.6.16).

#![cfg(feature = "decode")]

mod support;

use medfocus_imaging::decode::decode;
use support::*;

const SHARED: u32 = 0x5200_9229;
const PER_FRAME: u32 = 0x5200_9230;
const FRAME_VOI: u32 = 0x0028_9132;
const TRANSFORMATION: u32 = 0x0028_9145;
/// A group that has nothing to do with grey levels, with a window of its own.
const REAL_WORLD: u32 = 0x0040_9096;

fn window(centre: &str, width: &str) -> Value {
    item(vec![(WINDOW_CENTRE, ds(centre)), (WINDOW_WIDTH, ds(width))])
}

fn rescaled(intercept: &str, slope: &str) -> Value {
    item(vec![(INTERCEPT, ds(intercept)), (SLOPE, ds(slope))])
}

fn levels(file: &Dicom) -> Vec<u8> {
    let decoded = decode(&file.file()).expect("a valid file");
    decoded.pixels.into_iter().collect()
}

#[test]
fn the_window_of_the_frame_is_used_wherever_it_stands() {
    let plain = Dicom::new(24, 16, 12, &ramp(24, 16));
    let expected = levels(
        &plain
            .clone()
            .with(WINDOW_CENTRE, ds("300"))
            .with(WINDOW_WIDTH, ds("400"))
            .with(INTERCEPT, ds("-100"))
            .with(SLOPE, ds("2")),
    );
    assert_ne!(levels(&plain), expected);
    for syntax in [EXPLICIT, IMPLICIT, BIG_ENDIAN] {
        let shared = plain.clone().in_syntax(syntax).with(
            SHARED,
            item(vec![
                (FRAME_VOI, window("300", "400")),
                (TRANSFORMATION, rescaled("-100", "2")),
                (REAL_WORLD, window("9", "9")),
            ]),
        );
        assert_eq!(levels(&shared), expected, "{syntax}");
        // One item a frame: the first frame's counts.
        let each = plain.clone().in_syntax(syntax).with(
            PER_FRAME,
            Value::Items(vec![
                vec![
                    (FRAME_VOI, window("300", "400")),
                    (TRANSFORMATION, rescaled("-100", "2")),
                ],
                vec![(FRAME_VOI, window("9", "9"))],
            ]),
        );
        assert_eq!(levels(&each), expected, "{syntax}");
    }
}
