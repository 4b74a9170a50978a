//! What is resampled as a whole.

/// Samples of one dataset that are not independent and are therefore drawn together: all of a patient where the dataset
/// says whose they are, else all of an image, whatever was asked about it, and of which model.
///
/// Of the name only 63 bits of its BLAKE3 digest are held: of ten million clusters two are taken for one with a chance of
/// 5e-6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cluster(u64);

impl Cluster {
    /// By the name that the dataset gives the patient.
    pub fn patient(name: &str) -> Self {
        Self(digest(name) | 1)
    }

    /// By the digest of the image.
    pub fn image(digest: &str) -> Self {
        Self(self::digest(digest) & !1)
    }

    /// Whether it is a patient's.
    pub fn is_patient(self) -> bool {
        self.0 & 1 == 1
    }
}

fn digest(text: &str) -> u64 {
    let bytes = blake3::hash(text.as_bytes());
    let [first, ..] = bytes.as_bytes().as_chunks().0 else {
        return 0;
    };
    u64::from_le_bytes(*first)
}
