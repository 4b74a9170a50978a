//! Whether an image can be read.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    path::Path,
};

use medfocus_imaging::picture;
use medfocus_plugin_api::{Context, choices, file};

choices! {
    /// How it is found out whether an image can be read.
    pub enum Check {
        /// A PNG file by its first and last bytes, so that one that is cut short is found; any other by decoding it.
        Ends = "ends",
        /// By decoding it, so that one that is damaged inside is found too.
        Decode = "decode",
    }
}

/// Signature, and length and name of the first chunk.
const START: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR";
/// Length, name and checksum of the last chunk.
const END: &[u8] = b"\0\0\0\0IEND\xae\x42\x60\x82";

impl Check {
    /// Whether there is an image that can be read.
    pub fn passes(self, context: &Context, path: &Path) -> bool {
        let Ok(file) = file::open(path) else {
            return false;
        };
        (self == Self::Ends && has_ends(&file).is_ok_and(|has| has))
            || file::open(path).is_ok_and(|file| picture::read(context, file).is_ok())
    }
}

fn has_ends(mut file: &File) -> io::Result<bool> {
    let mut start = [0; START.len()];
    file.read_exact(&mut start)?;
    let mut end = [0; END.len()];
    file.seek(SeekFrom::End(-(END.len() as i64)))?;
    file.read_exact(&mut end)?;
    Ok(start == START && end == END)
}
