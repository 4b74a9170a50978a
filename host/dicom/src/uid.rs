//! Unique identifiers that follow from what they identify: the same content has the same identifier, and no other content
//! has it.
//!
//! The form is `2.25.` and a UUID as a number (PS3.5 B.2). The UUID is of version 8 (RFC 9562 5.8): 122 bits of a BLAKE3 digest.

/// The identifier of this content, as something of this kind.
pub fn of(kind: &str, content: &[u8]) -> String {
    let mut hasher = blake3::Hasher::new_derive_key("MedFocus DICOM unique identifiers");
    hasher.update(kind.as_bytes()).update(&[0]).update(content);
    from_digest(&hasher.finalize())
}

/// The identifier that stands for another, as this key has it.
pub(crate) fn instead_of(key: &[u8; 32], uid: &str) -> String {
    let text = format!("uid\0{uid}");
    from_digest(&blake3::keyed_hash(key, text.as_bytes()))
}

fn from_digest(digest: &blake3::Hash) -> String {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.as_bytes()[..16]);
    bytes[6] = 0x80 | bytes[6] & 0x0f;
    bytes[8] = 0x80 | bytes[8] & 0x3f;
    format!("2.25.{}", u128::from_be_bytes(bytes))
}

/// Whether a text can be one (PS3.5 9.1), so that it can be written and sent on.
pub(crate) fn is_valid(text: &str) -> bool {
    let part = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    text.len() <= 64 && text.split('.').all(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_and_kind_decide() {
        assert_eq!(of("series", b"x"), of("series", b"x"));
        assert_ne!(of("series", b"x"), of("instance", b"x"));
        assert_ne!(of("series", b"x"), of("series", b"y"));
        assert_ne!(instead_of(&[1; 32], "1.2"), instead_of(&[2; 32], "1.2"));
        assert!(is_valid(&of("series", b"x")));
    }

    #[test]
    fn it_is_a_uuid_of_version_8() {
        for content in 0..100_u8 {
            let uid = of("", &[content]);
            let number: u128 = uid.strip_prefix("2.25.").unwrap().parse().unwrap();
            assert_eq!(number >> 76 & 0xf, 8);
            assert_eq!(number >> 62 & 0x3, 2);
        }
    }

    #[test]
    fn what_is_none_is_seen() {
        for text in ["", "1..2", "1.2.", "1.2 ", "1.a", &"1".repeat(65)] {
            assert!(!is_valid(text), "{text}");
        }
    }
}
