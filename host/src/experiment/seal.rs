//! Lines that show when they were damaged: sixteen hex digits of the BLAKE3 digest of the text, a space, the text.

/// Digits of a seal.
const DIGITS: usize = 16;

/// The text behind its seal.
pub(super) fn sealed(text: &[u8]) -> Vec<u8> {
    let mut line = seal(text);
    line.push(b' ');
    line.extend_from_slice(text);
    line
}

/// The text of a line whose seal is whole.
pub(super) fn opened(line: &[u8]) -> Option<&[u8]> {
    let (digits, rest) = line.split_at_checked(DIGITS)?;
    let text = rest.strip_prefix(b" ")?;
    (seal(text) == digits).then_some(text)
}

fn seal(text: &[u8]) -> Vec<u8> {
    let digest = blake3::hash(text).to_hex();
    digest.as_bytes()[..DIGITS].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_flipped_bit_breaks_the_seal() {
        let line = sealed(br#"{"iou":0.25}"#);
        assert_eq!(opened(&line), Some(&br#"{"iou":0.25}"#[..]));
        for bit in 0..line.len() * 8 {
            let mut damaged = line.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(opened(&damaged), None, "bit {bit}");
        }
        for cut in 0..line.len() {
            assert_eq!(opened(&line[..cut]), None);
        }
    }
}
