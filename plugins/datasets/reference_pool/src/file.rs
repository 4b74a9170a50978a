//! Reading one file of the pool: within bounds, and from within the folder only.

use std::{
    io::Read as _,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use medfocus_imaging::{
    decode::{Format, MAX_BYTES},
    picture,
};
use medfocus_plugin_api::{Context, Error, GrayImage, Mask, Picture, Result, file};
use ndarray::{Array2, ArrayView2};
use ndarray_npy::{ViewNpyError, ViewNpyExt as _};

/// The bytes of a regular file that lies within `root`, wherever links lead.
///
/// # Errors
///
/// [`Error::invalid`] naming the file: a link out of the folder, no regular file, too large or unreadable.
pub fn bytes(root: &Path, path: &Path) -> Result<Vec<u8>> {
    let unreadable = |error: std::io::Error| {
        Error::invalid(format!("{} cannot be read: {error}", path.display()))
    };
    let real = path.canonicalize().map_err(unreadable)?;
    if !real.starts_with(root) {
        return Err(
            Error::invalid(format!("{} is a link out of the pool", path.display()))
                .with_hint("copy the file there"),
        );
    }
    let mut bytes = Vec::new();
    let file = file::open(&real).map_err(unreadable)?;
    let limit = MAX_BYTES as u64 + 1;
    file.take(limit)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() > MAX_BYTES {
        return Err(Error::invalid(format!(
            "{} has more than {} MiB",
            path.display(),
            MAX_BYTES >> 20
        )));
    }
    Ok(bytes)
}

/// The image that a file's bytes hold.
///
/// # Errors
///
/// [`Error::invalid`] naming the file if it is no image that can be decoded, or one that a tag turns.
pub fn image(context: &Context, path: &Path, bytes: &[u8]) -> Result<GrayImage> {
    let picture = picture(context, path, bytes)?;
    if picture.turned {
        return Err(Error::invalid(format!(
            "{} is turned by its orientation tag, so that its masks may lie either way",
            path.display()
        ))
        .with_hint("save it upright, without the tag, and its masks as it is then shown"));
    }
    for warning in &picture.warnings {
        tracing::warn!("{}: {warning}", path.display());
    }
    Ok(picture.image)
}

/// The mask that a file's bytes hold, which must fit the image and hold something.
///
/// # Errors
///
/// [`Error::invalid`] naming the file.
pub fn mask(context: &Context, path: &Path, bytes: &[u8], image: &GrayImage) -> Result<Mask> {
    let inside = match kind(path) {
        Some(MaskFile::Npy) => npy(path, bytes)?,
        _ => png(context, path, bytes)?,
    };
    let (height, width) = inside.dim();
    let size = (image.height() as usize, image.width() as usize);
    if (height, width) != size {
        return Err(Error::invalid(format!(
            "{} has {width} x {height} pixels, its image {} x {}",
            path.display(),
            size.1,
            size.0
        )));
    }
    if !inside.iter().any(|&inside| inside) {
        return Err(
            Error::invalid(format!("{} is an empty mask", path.display()))
                .with_hint("a concept that is not seen has no file"),
        );
    }
    Mask::from_array(inside.view())
}

/// How a mask is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaskFile {
    /// 8-bit grey.
    Png,
    /// NumPy, bool or u8.
    Npy,
}

/// How a file of this name stores a mask; nothing if it does not.
pub fn kind(path: &Path) -> Option<MaskFile> {
    match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "png" => Some(MaskFile::Png),
        "npy" => Some(MaskFile::Npy),
        _ => None,
    }
}

/// Lossy images are refused: they have grey around their edges, all of it inside. So are 16 bits and colours, which become
/// 8-bit grey by rounding, a low level 0.
fn png(context: &Context, path: &Path, bytes: &[u8]) -> Result<Array2<bool>> {
    let refused = |what: &str| {
        Error::invalid(format!("{} is no {what}", path.display()))
            .with_hint("save masks as 8-bit grey PNG, non-zero inside")
    };
    if Format::of(bytes) != Some(Format::Png) {
        return Err(refused("PNG image"));
    }
    let image = picture(context, path, bytes)?.image;
    // The header comes first: after signature, length, name and size the bits and the type, 0 for grey.
    match bytes.get(24..26) {
        Some([0..=8, 0]) => Ok(image.view().mapv(|pixel| pixel != 0)),
        _ => Err(refused("8-bit grey image")),
    }
}

fn picture(context: &Context, path: &Path, bytes: &[u8]) -> Result<Picture> {
    picture::of(context, bytes).map_err(|error| error.context(path.display()))
}

/// The most bytes of a NumPy header; those of plain arrays have 118, and one nested deeply exhausts its parser's stack.
const MAX_NPY_HEADER: u16 = 246;

/// Views check the header's shape against the bytes there are, so that nothing is allocated for what is not there.
fn npy(path: &Path, bytes: &[u8]) -> Result<Array2<bool>> {
    let refused = |why: String| {
        Error::invalid(format!(
            "{} is no NumPy array of bool or u8, height x width: {why}",
            path.display()
        ))
    };
    let header = match bytes {
        [b'\x93', b'N', b'U', b'M', b'P', b'Y', 1, 0, low, high, ..] => {
            u16::from_le_bytes([*low, *high])
        }
        _ => return Err(refused("not of format version 1".into())),
    };
    if header > MAX_NPY_HEADER {
        return Err(refused(format!("a header of {header} bytes")));
    }
    let read = || {
        ArrayView2::<bool>::view_npy(bytes)
            .map(|inside| inside.to_owned())
            .or_else(|_| {
                let levels = ArrayView2::<u8>::view_npy(bytes)?;
                Ok(levels.mapv(|level| level != 0))
            })
            .map_err(|error: ViewNpyError| {
                // A parser draws where in the header it stopped.
                let text = error.to_string();
                refused(text.lines().next().unwrap_or_default().to_owned())
            })
    };
    // The crate unwraps where the sides of an empty array overflow.
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err(refused("its shape".into())))
}

/// What lies in a folder, by name; hidden files are passed over.
///
/// # Errors
///
/// [`Error::missing`] naming the folder if it cannot be read, [`Error::invalid`] naming a file whose name is no text.
pub fn list(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let unreadable =
        |error| Error::missing(format!("{} cannot be read: {error}", folder.display()));
    let mut found = Vec::new();
    for entry in folder.read_dir().map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name
            .ok_or_else(|| Error::invalid(format!("the name of {path:?} is not UTF-8")))?
            .to_owned();
        if !left_behind(&name) {
            found.push((name, path));
        }
    }
    found.sort();
    Ok(found)
}

/// Whether a file is one that file managers leave in every folder.
fn left_behind(name: &str) -> bool {
    let theirs = ["thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"];
    name.starts_with('.') || name.ends_with('~') || theirs.contains(&name.to_lowercase().as_str())
}
