//! Whether the entropy-coded data of a scan hold all of it (ITU-T T.81 annexes F, G and H).
//!
//! Decoders fill what is missing with grey and say nothing, so the codes are walked here first: each
//! is passed over with its bits, none is made into a picture.

use super::{
    huffman::Huffman,
    markers::{Frame, Scan, Scanned},
};

/// The bits of an interval, stuffed zeros taken out.
struct Bits<'a> {
    bytes: std::slice::Iter<'a, u8>,
    held: u64,
    count: u32,
}

impl<'a> Bits<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes: bytes.iter(),
            held: 0,
            count: 0,
        }
    }

    fn fill(&mut self) {
        while self.count <= 48 {
            let Some(&byte) = self.bytes.next() else {
                break;
            };
            if byte == 0xff {
                self.bytes.next();
            }
            self.held = self.held << 8 | u64::from(byte);
            self.count += 8;
        }
    }

    /// The next `count` bits, at most 16.
    fn take(&mut self, count: u8) -> Option<u16> {
        let count = u32::from(count);
        if self.count < count {
            self.fill();
        }
        self.count = self.count.checked_sub(count)?;
        Some((self.held >> self.count) as u16 & ((1_u32 << count) - 1) as u16)
    }

    /// The value of the next code.
    fn code(&mut self, table: &Huffman) -> Option<u8> {
        if self.count < 16 {
            self.fill();
        }
        let next = if self.count >= 16 {
            self.held >> (self.count - 16)
        } else {
            self.held << (16 - self.count)
        };
        let (length, value) = table.code(next as u16);
        if length == 0 {
            return None;
        }
        self.count = self.count.checked_sub(length.into())?;
        Some(value)
    }

    /// How many whole bytes are left.
    fn left(&mut self) -> usize {
        self.bytes.len() + (self.count / 8) as usize
    }
}

/// How many bytes may be left after an interval: some encoders fill up.
const FILL: usize = 4;

/// Walks over all scans of a frame.
pub(super) struct Walker<'a> {
    frame: &'a Frame,
    /// Of each component's blocks the coefficients that are not zero so far, which progressive
    /// refinement depends on.
    nonzero: Vec<Vec<u64>>,
}

impl<'a> Walker<'a> {
    pub fn new(frame: &'a Frame) -> Self {
        let blocks = |index| {
            let (across, down) = blocks(frame, index);
            vec![
                0;
                if frame.is_progressive() {
                    across * down
                } else {
                    0
                }
            ]
        };
        Self {
            frame,
            nonzero: (0..frame.components.len()).map(blocks).collect(),
        }
    }

    /// Whether `scan` is whole: as many intervals as its MCUs need, each with all of its codes and
    /// nothing more.
    pub fn is_whole(&mut self, scan: &Scan, bytes: &[u8]) -> bool {
        let total = self.units(scan);
        let interval = match scan.restart_interval {
            0 => total,
            interval => interval,
        };
        // Some encoders end with one more restart marker.
        let needed = total.div_ceil(interval.max(1));
        let (intervals, more) = scan.intervals.split_at(needed.min(scan.intervals.len()));
        scan.in_order
            && intervals.len() == needed
            && more.iter().all(|range| range.len() <= FILL)
            && intervals.iter().enumerate().all(|(i, range)| {
                let first = i * interval;
                let units = first..total.min(first + interval);
                let mut bits = Bits::new(&bytes[range.clone()]);
                self.interval(scan, units, &mut bits).is_some() && bits.left() <= FILL
            })
    }

    /// The number of MCUs of a scan (A.2).
    fn units(&self, scan: &Scan) -> usize {
        let frame = self.frame;
        if frame.is_lossless() {
            return frame.rows * frame.columns;
        }
        match scan.components[..] {
            [Scanned { index, .. }] => {
                let (across, down) = blocks(frame, index);
                across * down
            }
            _ => {
                let (h, v) = largest(frame);
                frame.columns.div_ceil(8 * h) * frame.rows.div_ceil(8 * v)
            }
        }
    }

    fn interval(
        &mut self,
        scan: &Scan,
        units: std::ops::Range<usize>,
        bits: &mut Bits<'_>,
    ) -> Option<()> {
        let single = scan.components.len() == 1;
        let mut end_of_band = 0;
        for unit in units {
            for Scanned { index, dc, ac } in &scan.components {
                let (dc, ac) = (dc.as_deref(), ac.as_deref());
                if self.frame.is_lossless() {
                    difference(bits, dc?)?;
                    continue;
                }
                let (h, v) = self.frame.components[*index].sampling;
                for _ in 0..if single { 1 } else { h * v } {
                    if !self.frame.is_progressive() {
                        difference(bits, dc?)?;
                        sequential(bits, ac?)?;
                    } else if scan.band.0 == 0 {
                        match scan.approximation.0 {
                            0 => difference(bits, dc?)?,
                            _ => drop(bits.take(1)?),
                        }
                    } else {
                        let nonzero = self.nonzero[*index].get_mut(unit)?;
                        let band = (scan.band.0, scan.band.1.min(63));
                        match scan.approximation.0 {
                            0 => first_pass(bits, ac?, band, nonzero, &mut end_of_band)?,
                            _ => refinement(bits, ac?, band, nonzero, &mut end_of_band)?,
                        }
                    }
                }
            }
        }
        Some(())
    }
}

/// The largest sampling factors.
fn largest(frame: &Frame) -> (usize, usize) {
    let all = || frame.components.iter().map(|component| component.sampling);
    (
        all().map(|(h, _)| h).max().unwrap_or(1),
        all().map(|(_, v)| v).max().unwrap_or(1),
    )
}

/// The blocks of a component that is alone in its scan, across and down.
fn blocks(frame: &Frame, index: usize) -> (usize, usize) {
    let (h, v) = frame.components[index].sampling;
    let (h_max, v_max) = largest(frame);
    (
        (frame.columns * h).div_ceil(h_max).div_ceil(8),
        (frame.rows * v).div_ceil(v_max).div_ceil(8),
    )
}

/// The difference of a DC coefficient (F.2.2.1) or of a lossless sample, where 16 has no bits (H.1.2.2).
fn difference(bits: &mut Bits<'_>, table: &Huffman) -> Option<()> {
    match bits.code(table)? {
        16 => Some(()),
        size @ 0..16 => bits.take(size).map(|_| ()),
        _ => None,
    }
}

/// The AC coefficients of a block (F.2.2.2).
fn sequential(bits: &mut Bits<'_>, table: &Huffman) -> Option<()> {
    let mut k = 1;
    while k < 64 {
        let code = bits.code(table)?;
        let (run, size) = (code >> 4, code & 15);
        match (run, size) {
            (15, 0) => k += 16,
            (_, 0) => return Some(()),
            _ => {
                bits.take(size)?;
                k += run + 1;
            }
        }
    }
    (k == 64).then_some(())
}

/// The first pass over a band of a block (G.1.2.2).
fn first_pass(
    bits: &mut Bits<'_>,
    table: &Huffman,
    (mut k, last): (u8, u8),
    nonzero: &mut u64,
    end_of_band: &mut u32,
) -> Option<()> {
    if *end_of_band > 0 {
        *end_of_band -= 1;
        return Some(());
    }
    while k <= last {
        let code = bits.code(table)?;
        let (run, size) = (code >> 4, code & 15);
        match (run, size) {
            (15, 0) => k += 16,
            (_, 0) => {
                *end_of_band = (1 << run) - 1 + u32::from(bits.take(run)?);
                return Some(());
            }
            _ => {
                bits.take(size)?;
                k += run;
                *nonzero |= 1_u64.checked_shl(k.into())?;
                k += 1;
            }
        }
    }
    (k == last + 1).then_some(())
}

/// A later pass, which adds a bit to each coefficient that is not zero yet (G.1.2.3).
fn refinement(
    bits: &mut Bits<'_>,
    table: &Huffman,
    (mut k, last): (u8, u8),
    nonzero: &mut u64,
    end_of_band: &mut u32,
) -> Option<()> {
    let known = *nonzero;
    while *end_of_band == 0 && k <= last {
        let code = bits.code(table)?;
        let (mut run, size) = (code >> 4, code & 15);
        if size == 0 && run < 15 {
            *end_of_band = (1 << run) + u32::from(bits.take(run)?);
            break;
        }
        if size != 0 {
            bits.take(1)?;
        }
        while k <= last {
            if known >> k & 1 == 1 {
                bits.take(1)?;
            } else if run == 0 {
                break;
            } else {
                run -= 1;
            }
            k += 1;
        }
        if size != 0 && k <= last {
            *nonzero |= 1 << k;
        }
        k += 1;
    }
    if *end_of_band > 0 {
        *end_of_band -= 1;
        for k in k..=last {
            if known >> k & 1 == 1 {
                bits.take(1)?;
            }
        }
    }
    Some(())
}
