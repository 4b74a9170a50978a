//! An image as the pipeline sees it.

use std::path::Path;

use medfocus_imaging::decode;
use medfocus_plugin_api::{Error, GrayImage, Letterbox, Picture, Result, Task, WORKING_SIDE, file};
use serde::Serialize;

/// An image read from a file, and its working image.
#[derive(Clone)]
pub struct Study {
    /// At its own size.
    pub native: GrayImage,
    /// Letterboxed.
    pub working: GrayImage,
    /// How the first lies in the second.
    pub letterbox: Letterbox,
    /// For the record.
    pub source: ImageRecord,
    /// What the user should know about how it was read.
    pub warnings: Vec<String>,
}

/// Which image a result is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImageRecord {
    /// `blake3:` and the hex digest of the file, or of size and pixels where there is no file.
    pub digest: String,
    /// What the file held, as `PNG, 16-bit grey`.
    pub format: String,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// How it lies in the working image.
    pub letterbox: Letterbox,
}

/// The bytes of an image's file.
///
/// # Errors
///
/// It cannot be read, or is larger than any image.
pub fn bytes(path: &Path) -> Result<Vec<u8>> {
    let file = file::open(path).map_err(|error| {
        Error::missing(format!("image {} cannot be read: {error}", path.display()))
    })?;
    decode::bytes(file)
        .map_err(|error| Error::invalid(format!("image {}: {error}", path.display())))
}

impl Study {
    /// The image in the bytes of a PNG, JPEG, TIFF or DICOM file, of which `decode` makes a picture.
    ///
    /// # Errors
    ///
    /// They cannot be read as an image; the sentence holds nothing of their content.
    pub fn read(bytes: &[u8], decode: impl Fn(&[u8]) -> Result<Picture>) -> Result<Self> {
        let picture = decode(bytes)?;
        let digest = format!("blake3:{}", blake3::hash(bytes).to_hex());
        Self::new(picture.image, digest, picture.source, picture.warnings)
    }

    /// An image that is already there, as a dataset reader gives it; its digest covers size and pixels.
    ///
    /// # Errors
    ///
    /// It cannot be letterboxed.
    pub fn of(native: GrayImage) -> Result<Self> {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&native.width().to_le_bytes());
        hasher.update(native.bytes());
        let digest = format!("blake3:{}", hasher.finalize().to_hex());
        Self::new(native, digest, "8-bit grey".to_owned(), Vec::new())
    }

    /// Bytes of its pixels.
    pub fn bytes(&self) -> usize {
        self.native.bytes().len() + self.working.bytes().len()
    }

    /// Whether it came as a DICOM file.
    pub fn is_dicom(&self) -> bool {
        self.source.format.starts_with("DICOM")
    }

    /// The task of explaining this answer about the image.
    pub fn into_task(self, question: impl Into<String>, answer: impl Into<String>) -> Task {
        Task::new(self.working, self.native, self.letterbox, question, answer)
    }

    fn new(
        native: GrayImage,
        digest: String,
        format: String,
        warnings: Vec<String>,
    ) -> Result<Self> {
        let working = medfocus_imaging::working::letterbox(native.view(), WORKING_SIDE);
        let letterbox = Letterbox::new(native.width(), native.height(), WORKING_SIDE)?;
        Ok(Self {
            source: ImageRecord {
                digest,
                format,
                width: native.width(),
                height: native.height(),
                letterbox,
            },
            native,
            working: GrayImage::from_array(working)?,
            letterbox,
            warnings,
        })
    }
}
