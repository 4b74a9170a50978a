//! Tables of Huffman codes (ITU-T T.81 annex C).

/// A table of codes.
pub(super) struct Huffman {
    /// Length and value of the code that starts 16 bits; length 0 where there is none.
    codes: Vec<(u8, u8)>,
}

impl Huffman {
    /// From the number of codes of each length, 1 to 16, and their values (C.2); `None` if these are
    /// too many.
    pub fn new(lengths: &[u8; 16], values: &[u8]) -> Option<Self> {
        let mut codes = Vec::with_capacity(1 << 16);
        let mut values = values.iter();
        for (length, &count) in (1..=16_u8).zip(lengths) {
            for &value in values.by_ref().take(count.into()) {
                codes.resize(codes.len() + (1 << (16 - length)), (length, value));
                if codes.len() > 1 << 16 {
                    return None;
                }
            }
        }
        codes.resize(1 << 16, (0, 0));
        Some(Self { codes })
    }

    /// Length and value of the code that starts these bits; length 0 if none does.
    pub fn code(&self, bits: u16) -> (u8, u8) {
        self.codes[usize::from(bits)]
    }
}
