//! Lossless streams (ITU-T T.81 annex H), in which prediction starts anew at each restart interval and
//! the point transform is applied after prediction. The decoder knows neither, so it is given each
//! interval as a stream of its own, with the bits that are left as its precision.

use std::ops::Range;

use super::{
    super::DecodeError,
    CONVERT, Colour, Jpeg,
    markers::{Component, Scan},
};

impl Jpeg<'_> {
    /// The samples as they were coded; there is no conversion of colours in these processes.
    pub(super) fn lossless(&self) -> Result<Vec<u16>, DecodeError> {
        let refuse = |what: &str| self.format.unsupported(what, CONVERT);
        let [scan] = &self.stream.scans[..] else {
            return Err(refuse("lossless JPEG data of several scans"));
        };
        let sampling = |component: &Component| component.sampling == (1, 1);
        if self.channels() > 1 && !(self.bits() == 8 && self.frame.components.iter().all(sampling))
        {
            return Err(refuse(
                "lossless JPEG colour that is subsampled or not of 8 bits",
            ));
        }
        // Copied for each interval; a stream has four tables of at most 33 bytes.
        if self.stream.tables.iter().map(Range::len).sum::<usize>() > 4096 {
            return Err(self.format.damaged("its Huffman tables"));
        }
        let shift = scan.approximation.1;
        let bits = match self.bits().checked_sub(shift) {
            Some(bits) if bits >= 2 && (shift == 0 || self.channels() == 1) => bits,
            _ => return Err(refuse("this point transform of lossless JPEG data")),
        };
        let rows = match scan.restart_interval {
            0 => self.rows(),
            // H.1.1: whole rows.
            interval if interval % self.columns() == 0 => interval / self.columns(),
            _ => return Err(refuse("lossless JPEG data that restart within a row")),
        };
        let mut samples = Vec::with_capacity(self.rows() * self.columns() * self.channels());
        for (interval, top) in (0..self.rows()).step_by(rows).enumerate() {
            let rows = rows.min(self.rows() - top);
            let stream = self.alone(scan, interval, rows, bits);
            samples.extend(self.pixels(&stream, bits, Colour::Rgb)?);
        }
        samples.iter_mut().for_each(|sample| *sample <<= shift);
        Ok(samples)
    }

    /// One interval of `scan` as a stream.
    fn alone(&self, scan: &Scan, interval: usize, rows: usize, bits: u8) -> Vec<u8> {
        let frame = &self.frame;
        let mut stream = vec![0xff, 0xd8];
        let before = |table: &&Range<usize>| table.end <= scan.header.start;
        for table in self.stream.tables.iter().filter(before) {
            stream.extend(&self.bytes[table.clone()]);
        }
        // The sizes come from 16-bit fields.
        let [y1, y0] = (rows as u16).to_be_bytes();
        let [x1, x0] = (frame.columns as u16).to_be_bytes();
        let count = frame.components.len() as u8;
        stream.extend([0xff, 0xc3, 0, 8 + 3 * count, bits, y1, y0, x1, x0, count]);
        for component in &frame.components {
            stream.extend([component.id, 0x11, 0]);
        }
        let header = &self.bytes[scan.header.clone()];
        stream.extend([0xff, 0xda, 0, header.len() as u8 + 2]);
        stream.extend(header);
        // No point transform.
        if let Some(approximation) = stream.last_mut() {
            *approximation = 0;
        }
        stream.extend(&self.bytes[scan.intervals[interval].clone()]);
        stream.extend([0xff, 0xd9]);
        stream
    }
}
