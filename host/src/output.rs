//! Result files: each appears whole or not at all.

use std::{
    fs::{self, File, Permissions},
    io::{self, BufWriter, ErrorKind, IntoInnerError, Write},
    os::unix::fs::PermissionsExt,
    path::{Component, Path, PathBuf},
};

use image::RgbImage;
use medfocus_plugin_api::{Error, GrayImage, Result};
use ndarray::{ArrayView, Dimension};
use serde::Serialize;
use tempfile::Builder;

use crate::encode;

/// A folder of result files.
///
/// A file is written beside its place, brought to the disk and then renamed into its place. So a
/// reader, a crash or a full disk meets the former file or the new one, never a part; a failed
/// write leaves nothing behind. (A killed process may leave a hidden `.writing-*` file, which is
/// safe to delete.)
#[derive(Clone, Debug)]
pub struct OutDir {
    path: PathBuf,
}

impl OutDir {
    /// Opens a folder and creates it, with its parents, where it is not there yet.
    ///
    /// # Errors
    ///
    /// An error naming the folder if it cannot be created.
    pub fn create(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        fs::create_dir_all(&path).map_err(|error| failed("create the folder", &path, &error))?;
        Ok(Self { path })
    }

    /// A folder within this one, made if need be.
    ///
    /// # Errors
    ///
    /// A name is not a plain one, or a folder cannot be created.
    pub fn within(&self, names: &[&str]) -> Result<Self> {
        let mut folder = self.clone();
        for name in names {
            folder = Self::create(folder.place(name)?)?;
        }
        Ok(folder)
    }

    /// Makes a folder that appears whole or not at all: `fill` writes into a hidden one beside it, which then takes its
    /// place. (A killed process may leave a hidden `.writing-*` folder, which is safe to delete.)
    ///
    /// # Errors
    ///
    /// There is something in its place other than an empty folder, or `fill` or the disk fails.
    pub fn whole<T>(path: &Path, fill: impl FnOnce(&Self) -> Result<T>) -> Result<T> {
        let taken = match path.read_dir() {
            Ok(mut entries) => entries.next().is_some(),
            Err(error) => error.kind() != ErrorKind::NotFound,
        };
        if taken {
            return Err(Error::invalid(format!(
                "`{}` is there and is no empty folder",
                path.display()
            ))
            .with_hint("choose another place, or delete it"));
        }
        let parent = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        let parent = Self::create(parent.unwrap_or(Path::new(".")))?;
        let new = Builder::new()
            .prefix(".writing-")
            .permissions(Permissions::from_mode(0o777))
            .tempdir_in(&parent.path)
            .map_err(|error| failed("write into", &parent.path, &error))?;
        let done = fill(&Self {
            path: new.path().to_owned(),
        })?;
        fs::rename(new.path(), path).map_err(|error| failed("make", path, &error))?;
        // Moved, so there is nothing left to delete.
        let _ = new.keep();
        parent.sync();
        Ok(done)
    }

    /// Where the folder is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file of whatever `fill` writes, in the place of a former one; returns its path.
    ///
    /// # Errors
    ///
    /// An error naming the file if `fill` or the disk fails, or if `name` is not a plain file name.
    pub fn write(
        &self,
        name: &str,
        fill: impl FnOnce(&mut (dyn Write + Send)) -> io::Result<()>,
    ) -> Result<PathBuf> {
        let place = self.place(name)?;
        self.replace(&place, fill)
            .map_err(|error| failed("write", &place, &error))?;
        Ok(place)
    }

    /// Writes JSON for people to read; see [`OutDir::write`].
    ///
    /// # Errors
    ///
    /// Also if the value cannot be said in JSON.
    pub fn json(&self, name: &str, value: &impl Serialize) -> Result<PathBuf> {
        self.write(name, |out| encode::json(out, value))
    }

    /// Writes a NumPy `.npy` file of f32; see [`OutDir::write`].
    ///
    /// # Errors
    ///
    /// Those of [`OutDir::write`].
    pub fn npy<D: Dimension>(&self, name: &str, values: ArrayView<'_, f32, D>) -> Result<PathBuf> {
        self.write(name, |out| encode::npy(out, values))
    }

    /// Writes a colour picture as PNG; see [`OutDir::write`].
    ///
    /// # Errors
    ///
    /// Those of [`OutDir::write`].
    pub fn png_rgb(&self, name: &str, image: &RgbImage) -> Result<PathBuf> {
        self.write(name, |out| encode::png_rgb(out, image))
    }

    /// Writes a grey image as PNG; see [`OutDir::write`].
    ///
    /// # Errors
    ///
    /// Those of [`OutDir::write`].
    pub fn png_grey(&self, name: &str, image: &GrayImage) -> Result<PathBuf> {
        self.write(name, |out| encode::png_grey(out, image))
    }

    fn place(&self, name: &str) -> Result<PathBuf> {
        let mut parts = Path::new(name).components();
        match (parts.next(), parts.next()) {
            (Some(Component::Normal(part)), None) if part == name => Ok(self.path.join(name)),
            _ => Err(Error::invalid(format!(
                "`{name}` is not a plain file name for `{}`",
                self.path.display()
            ))),
        }
    }

    fn replace(
        &self,
        place: &Path,
        fill: impl FnOnce(&mut (dyn Write + Send)) -> io::Result<()>,
    ) -> io::Result<()> {
        // Less what the user's umask takes away, like any new file; the crate's own default is 600.
        let new = Builder::new()
            .prefix(".writing-")
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(&self.path)?;
        let mut out = BufWriter::new(new);
        fill(&mut out)?;
        let new = out.into_inner().map_err(IntoInnerError::into_error)?;
        new.as_file().sync_all()?;
        new.persist(place)?;
        self.sync();
        Ok(())
    }

    /// Brings the folder's names to the disk: only then do they outlive a power cut. What they name is in its place by
    /// now, and not every file system can do this for a folder: no reason to call it failed.
    fn sync(&self) {
        let _ = File::open(&self.path).and_then(|folder| folder.sync_all());
    }
}

pub(crate) fn failed(action: &str, path: &Path, error: &io::Error) -> Error {
    let sentence = Error::internal(format!("cannot {action} `{}`: {error}", path.display()));
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            sentence.with_hint("free some space on that disk")
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            sentence.with_hint("choose a folder that you may write to")
        }
        _ => sentence,
    }
}
