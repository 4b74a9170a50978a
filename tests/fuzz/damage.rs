//! Damage to files: what bad disks, bad programs and bad people do to them.

use std::ops::Range;

use rand::{Rng, RngExt, seq::IndexedRandom};

/// Numbers at which programs stumble.
const NUMBERS: [u64; 12] = [
    0,
    1,
    2,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0xffff_ffff,
    i64::MAX as u64,
    u64::MAX,
];

/// Words at which readers of text stumble.
const WORDS: [&str; 22] = [
    "-1",
    "0",
    "1e999",
    "-0.0",
    "NaN",
    "null",
    "true",
    "18446744073709551616",
    "\"",
    "\\",
    "\\u0000",
    "\\ud800",
    "{",
    "}",
    "[",
    "]",
    ",",
    "\n",
    "\0",
    "\u{feff}",
    "é",
    "..",
];

/// One of the seeds with a few damages.
pub fn damaged(seeds: &[Vec<u8>], random: &mut impl Rng) -> Vec<u8> {
    let mut bytes = seeds.choose(random).expect("there are seeds").clone();
    for _ in 0..random.random_range(1..=6) {
        damage(&mut bytes, seeds, random);
    }
    bytes
}

fn damage(bytes: &mut Vec<u8>, seeds: &[Vec<u8>], random: &mut impl Rng) {
    let here = stretch(bytes.len(), random);
    match random.random_range(0..9) {
        0 if !bytes.is_empty() => {
            let at = here.start.min(bytes.len() - 1);
            bytes[at] ^= 1 << random.random_range(0..8);
        }
        1 => {
            let number = *NUMBERS.choose(random).expect("there are some");
            let width = 1 << random.random_range(0..4);
            let number = match random.random() {
                true => number.to_le_bytes()[..width].to_vec(),
                false => number.to_be_bytes()[8 - width..].to_vec(),
            };
            let end = (here.start + width).min(bytes.len());
            bytes.splice(here.start..end, number);
        }
        2 => drop(bytes.drain(here)),
        3 => {
            let copy = bytes[here.clone()].to_vec();
            bytes.splice(here.start..here.start, copy);
        }
        4 => {
            let other = seeds.choose(random).expect("there are seeds");
            let there = stretch(other.len(), random);
            bytes.splice(here, other[there].iter().copied());
        }
        5 => bytes.truncate(here.start),
        6 => {
            let word = WORDS.choose(random).expect("there are some");
            let times = if random.random_ratio(1, 50) {
                10_000
            } else {
                1
            };
            bytes.splice(here.start..here.start, word.repeat(times).bytes());
        }
        7 => {
            // A number in a text.
            let digit = |at: &usize| bytes[*at].is_ascii_digit();
            if let Some(start) = (here.start..bytes.len()).find(digit) {
                let end = (start..bytes.len())
                    .find(|at| !digit(at))
                    .unwrap_or(bytes.len());
                let word = WORDS.choose(random).expect("there are some");
                bytes.splice(start..end, word.bytes());
            }
        }
        _ => bytes[here].fill(random.random()),
    }
}

/// A stretch of so many bytes; often in the first or the last, where headers and tables lie.
fn stretch(length: usize, random: &mut impl Rng) -> Range<usize> {
    let whole = 0..length;
    let within = match random.random_range(0..4) {
        0 => 0..length.min(256),
        1 => length.saturating_sub(4096)..length,
        _ => whole,
    };
    let start = random.random_range(within.start..=within.end);
    let longest = if random.random() { 16 } else { 1024 };
    start..(start + random.random_range(0..longest)).min(length)
}
