//! What the codecs of single frames return.

/// What to do about a codec that is not read.
pub(super) const UNCOMPRESS: &str = "uncompress the file first, as with gdcmconv --raw or dcmdjpeg";

/// What a codec returns: interleaved samples.
pub(super) struct Coded {
    pub rows: usize,
    pub columns: usize,
    pub channels: usize,
    pub samples: Vec<u16>,
    /// The frame itself says that its samples are signed.
    pub signed: bool,
    /// The frame itself says that its colours are others than the header's.
    pub mislabelled: bool,
    /// Colour is luma and chroma, not RGB.
    pub luma_first: bool,
}

impl Coded {
    pub fn new(rows: usize, columns: usize, channels: usize, samples: Vec<u16>) -> Self {
        Self {
            rows,
            columns,
            channels,
            samples,
            signed: false,
            mislabelled: false,
            luma_first: false,
        }
    }
}
