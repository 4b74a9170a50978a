//! How pixels are laid out.

use super::super::{DecodeError, Format};

/// The elements that describe the pixel data, checked.
pub(super) struct Layout {
    pub rows: usize,
    pub columns: usize,
    pub channels: usize,
    pub frames: usize,
    pub bits_stored: u32,
    pub signed: bool,
    /// MONOCHROME1: low values are bright.
    pub inverted: bool,
    /// Photometric interpretation.
    pub photometric: String,
    pub bits_allocated: u32,
    pub high_bit: u32,
    pub planar: bool,
}

impl Layout {
    pub fn pixels(&self) -> usize {
        self.rows * self.columns
    }

    pub fn bytes_per_sample(&self) -> usize {
        self.bits_allocated as usize / 8
    }

    /// Refuses a compressed frame of another shape.
    pub fn expect(&self, rows: usize, columns: usize, channels: usize) -> Result<(), DecodeError> {
        if (rows, columns, channels) == (self.rows, self.columns, self.channels) {
            Ok(())
        } else {
            Err(Format::Dicom.damaged("its compressed frame has another size than its header"))
        }
    }

    /// How many stored values there can be.
    pub fn values(&self) -> usize {
        1 << self.bits_stored
    }

    /// The bits of a sample that hold its stored value, as a number below [`Self::values`].
    pub fn index(&self, word: u16) -> usize {
        (usize::from(word) >> (self.high_bit + 1 - self.bits_stored)) & (self.values() - 1)
    }

    /// The stored value whose bits are `index`.
    pub fn stored(&self, index: usize) -> i32 {
        let sign_bit = self.values() / 2;
        if self.signed && index >= sign_bit {
            index as i32 - self.values() as i32
        } else {
            index as i32
        }
    }
}
