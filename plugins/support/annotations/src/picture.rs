//! The image files of an archive.

use std::{
    io::ErrorKind,
    path::{Component, Path, PathBuf},
};

use medfocus_imaging::picture;
use medfocus_plugin_api::{Context, Error, Picture, Result, file};

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
pub fn read(context: &Context, path: &Path) -> Result<Picture> {
    let named = |error: Error| error.context(format!("image {}", path.display()));
    let file = file::open(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => Error::missing(format!("image {} is missing", path.display()))
            .with_hint("download it there"),
        _ => named(Error::invalid(error.to_string())),
    })?;
    let mut picture = picture::read(context, file).map_err(named)?;
    if picture.turned {
        picture.warnings.push(
            "the image is turned by its orientation tag, so that its boxes may lie otherwise"
                .into(),
        );
    }
    Ok(picture)
}
