//! JPEG streams, in files of their own and in DICOM: baseline, progressive and lossless.
//!
//! What the decoder leaves to its caller is done here: it fills missing data with grey, and it takes
//! neither the restart intervals nor the point transform of lossless streams as the standard does.

mod entropy;
mod huffman;
mod lossless;
mod markers;

use std::io::Cursor;

use jpeg_decoder::{ColorTransform, Decoder};

use self::{
    entropy::Walker,
    markers::{Frame, Stream},
};
use super::{DecodeError, Format};

/// What three components are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colour {
    Rgb,
    YCbCr,
}

/// A stream whose markers are read.
pub(super) struct Jpeg<'a> {
    bytes: &'a [u8],
    format: Format,
    stream: Stream,
    frame: Frame,
}

impl<'a> Jpeg<'a> {
    /// Reads the markers of the stream in a file of `format`.
    ///
    /// # Errors
    ///
    /// The markers are damaged, or name a process that is not supported.
    pub fn new(bytes: &'a [u8], format: Format) -> Result<Self, DecodeError> {
        let mut stream = Stream::read(bytes).map_err(|detail| format.damaged(detail))?;
        let frame = stream.frame.take();
        let frame = frame.ok_or(format.damaged("it has no frame header"))?;
        let refuse = |what: String| Err(format.unsupported(what, CONVERT));
        match (frame.process, frame.bits, frame.components.len()) {
            (0xc9..=0xcf, ..) => return refuse("arithmetic coding of JPEG data".into()),
            (0xc5..=0xc7, ..) => return refuse("hierarchical JPEG data".into()),
            (0xc0..=0xc2, 8, _) | (0xc3, 2..=16, _) => {}
            (_, bits, _) => {
                return refuse(format!("JPEG data of {bits} bits that are not lossless"));
            }
        }
        match frame.components.len() {
            1 | 3 => {}
            count => return refuse(format!("JPEG data of {count} components")),
        }
        if frame.rows == 0 {
            return refuse("JPEG data that state their height at the end".into());
        }
        Ok(Self {
            bytes,
            format,
            stream,
            frame,
        })
    }

    pub fn rows(&self) -> usize {
        self.frame.rows
    }

    pub fn columns(&self) -> usize {
        self.frame.columns
    }

    pub fn channels(&self) -> usize {
        self.frame.components.len()
    }

    pub fn bits(&self) -> u8 {
        self.frame.bits
    }

    pub fn is_lossless(&self) -> bool {
        self.frame.is_lossless()
    }

    pub fn exif(&self) -> Option<&'a [u8]> {
        self.bytes.get(self.stream.exif.clone()?)
    }

    /// What the stream itself says of its colours, in libjpeg's order: a JFIF marker means YCbCr, else
    /// Adobe's marker counts, else component identifiers `RGB`. Other identifiers say nothing.
    pub fn colour(&self) -> Option<Colour> {
        let ids = self.frame.components.iter().map(|component| component.id);
        match self.stream.adobe {
            _ if self.stream.jfif => Some(Colour::YCbCr),
            Some(0) => Some(Colour::Rgb),
            Some(_) => Some(Colour::YCbCr),
            None => ids.eq(*b"RGB").then_some(Colour::Rgb),
        }
    }

    /// The samples, interleaved: gray, or RGB from components of this `colour`.
    ///
    /// # Errors
    ///
    /// The data are damaged or end early.
    pub fn decode(&self, colour: Colour) -> Result<Vec<u16>, DecodeError> {
        self.check()?;
        if self.frame.is_lossless() {
            return self.lossless();
        }
        self.pixels(self.bytes, self.bits(), colour)
    }

    /// Whether every code of every scan is there.
    ///
    /// # Errors
    ///
    /// The data are damaged or end early.
    pub fn check(&self) -> Result<(), DecodeError> {
        let mut walker = Walker::new(&self.frame);
        let mut scans = self.stream.scans.iter();
        if !scans.all(|scan| walker.is_whole(scan, self.bytes)) {
            return Err(self
                .format
                .damaged("its JPEG data end early or have a hole"));
        }
        self.check_scans()
    }

    /// Whether all components have all of their scans, each in its turn (G.1.1.1).
    fn check_scans(&self) -> Result<(), DecodeError> {
        let incomplete = || self.format.damaged("scans are missing from its JPEG data");
        for index in 0..self.channels() {
            // How many low bits of each coefficient are missing.
            let mut missing = [ALL; 64];
            for scan in &self.stream.scans {
                if scan.components.iter().all(|scanned| scanned.index != index) {
                    continue;
                }
                let (band, before, after) = match (self.frame.is_progressive(), scan.approximation)
                {
                    (false, _) => ((0, 63), ALL, 0),
                    (true, (0, low)) => (scan.band, ALL, low),
                    (true, (high, low)) => (scan.band, high, low),
                };
                let band = usize::from(band.0)..usize::from(band.1) + 1;
                let band = missing.get_mut(band).ok_or_else(incomplete)?;
                if band.iter().any(|&missing| missing != before) {
                    return Err(incomplete());
                }
                band.fill(after);
            }
            if missing != [0; 64] {
                return Err(incomplete());
            }
        }
        Ok(())
    }

    /// The pixels of `bytes`, a stream of this frame's size or less and of `bits` bits.
    fn pixels(&self, bytes: &[u8], bits: u8, colour: Colour) -> Result<Vec<u16>, DecodeError> {
        let damaged = |_| self.format.damaged("its JPEG data");
        let mut decoder = Decoder::new(Cursor::new(bytes));
        decoder.set_max_decoding_buffer_size(self.rows() * self.columns() * self.channels() * 2);
        if self.channels() == 3 {
            decoder.set_color_transform(match colour {
                Colour::Rgb => ColorTransform::RGB,
                Colour::YCbCr => ColorTransform::YCbCr,
            });
        }
        let bytes = decoder.decode().map_err(damaged)?;
        // All but 8 bits are words in the machine's order.
        Ok(if bits == 8 {
            bytes.into_iter().map(u16::from).collect()
        } else {
            let words = bytes.chunks_exact(2);
            words
                .map(|word| u16::from_ne_bytes([word[0], word[1]]))
                .collect()
        })
    }
}

/// All bits of a coefficient.
const ALL: u8 = u8::MAX;

const CONVERT: &str = "convert it first, as with gdcmconv --raw, dcmdjpeg or djpeg";
