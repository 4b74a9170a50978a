//! The image files of an archive.

use std::{
    io::ErrorKind,
    path::{Component, Path, PathBuf},
};

use medfocus_imaging::decode::{self, DecodeError};
use medfocus_plugin_api::{Error, GrayImage, Result, file};

/// An image, and what was ignored or guessed when it was read.
pub struct Picture {
    /// Its pixels.
    pub image: GrayImage,
    /// One sentence each.
    pub warnings: Vec<String>,
}

/// The file that an annotation names, below `folder`; nothing if the name leads out of it.
pub fn below(folder: &Path, name: &str) -> Option<PathBuf> {
    let mut parts = Path::new(name).components().peekable();
    parts.peek()?;
    parts
        .all(|part| matches!(part, Component::Normal(_)))
        .then(|| folder.join(name))
}

/// Reads an image.
///
/// # Errors
///
/// [`Error::missing`] naming the file if it is not there, [`Error::invalid`] if it is no image that can be decoded.
pub fn read(path: &Path) -> Result<Picture> {
    let named = |error: DecodeError| Error::invalid(format!("image {}: {error}", path.display()));
    let file = file::open(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => Error::missing(format!("image {} is missing", path.display()))
            .with_hint("download it there"),
        _ => named(error.into()),
    })?;
    let decoded = decode::read(file).map_err(named)?;
    let mut warnings = decoded.warnings;
    if decoded.turned {
        warnings.push(
            "the image is turned by its orientation tag, so that its boxes may lie otherwise"
                .into(),
        );
    }
    Ok(Picture {
        image: GrayImage::from_array(decoded.pixels)?,
        warnings,
    })
}
