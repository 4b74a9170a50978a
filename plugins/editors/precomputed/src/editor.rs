//! The editor.

use std::path::{Path, PathBuf};

use medfocus_imaging::picture;
use medfocus_plugin_api::{
    Component, Context, CounterfactualEditor, EditRequest, Error, GrayImage, Result, file, params,
};

use crate::{
    fit::fit,
    naming::{Edit, Naming},
};

params! {
    /// Parameters of [`Precomputed`].
    pub struct PrecomputedParams {
        /// Folder of the edited images, of one dataset or with a subfolder for each, named as the dataset is.
        pub path: String = "";
        /// File of a foreground edit, as `No pleural effusion`; `{index}` and `{dataset}` stand for the sample's.
        pub foreground: String = "{index}_edited.png";
        /// File of a background edit, as `No pleural effusion`.
        pub background: String = "{index}_edited_kept.png";
        /// File of the background edit `No abnormality`.
        pub background_normal: String = "{index}_edited_kept_normal.png";
        /// File of a foreground edit whose prompt does not begin with `No `.
        pub sham: String = "{index}_sham.png";
    }
}

/// Edits looked up in a folder, by the sample's number, the side and the prompt.
///
/// Nothing is edited: boxes, mask and seed are what they were when the files were made. An image of another size than the
/// request's is brought to it by [`fit`].
pub struct Precomputed {
    context: Context,
    folder: PathBuf,
    foreground: Naming,
    background: Naming,
    background_normal: Naming,
    sham: Naming,
}

impl Component for Precomputed {
    const NAME: &'static str = "precomputed";
    const SUMMARY: &'static str = "A folder of edited images, as the paper's code writes them: looked up by sample, side and prompt.";
    type Params = PrecomputedParams;

    fn new(params: PrecomputedParams, context: Context) -> Result<Self> {
        if params.path.is_empty() {
            return Err(Error::invalid("parameter `path` is missing")
                .with_key("path")
                .with_hint("it names the folder of the edited images"));
        }
        let folder = PathBuf::from(&params.path);
        if !folder.is_dir() {
            return Err(Error::missing(format!("{} is no folder", folder.display()))
                .with_key("path")
                .with_hint("`path` names the folder of the edited images"));
        }
        Ok(Self {
            context,
            folder,
            foreground: Naming::new("foreground", &params.foreground)?,
            background: Naming::new("background", &params.background)?,
            background_normal: Naming::new("background_normal", &params.background_normal)?,
            sham: Naming::new("sham", &params.sham)?,
        })
    }
}

impl CounterfactualEditor for Precomputed {
    fn edit(&self, request: &EditRequest) -> Result<GrayImage> {
        let naming = match Edit::of(request)? {
            Edit::Foreground => &self.foreground,
            Edit::Background => &self.background,
            Edit::BackgroundNormal => &self.background_normal,
            Edit::Sham => &self.sham,
        };
        let sample = request.sample.as_ref().ok_or_else(|| {
            Error::invalid(
                "a precomputed edit is looked up by its sample, and the request names none",
            )
            .with_hint("only images of a dataset have precomputed edits")
        })?;
        let path = naming.file(&self.folder, sample)?;
        let edited = self.read(&path)?;
        let fitted = fit(edited.view(), request.image.view())?.ok_or_else(|| {
            Error::invalid(format!(
                "edited image {} has {} x {} pixels, which do not fit the image's {} x {}",
                path.display(),
                edited.width(),
                edited.height(),
                request.image.width(),
                request.image.height()
            ))
            .with_hint(
                "it may have the image's shape, or be the square in which the image is letterboxed",
            )
        })?;
        GrayImage::from_array(fitted)
    }
}

impl Precomputed {
    /// The image in a file.
    fn read(&self, path: &Path) -> Result<GrayImage> {
        let file = file::open(path).map_err(|error| {
            Error::missing(format!(
                "edited image {} cannot be opened: {error}",
                path.display()
            ))
        })?;
        let picture = picture::read(&self.context, file)
            .map_err(|error| error.context(format!("edited image {}", path.display())))?;
        for warning in &picture.warnings {
            tracing::warn!("{}: {warning}", path.display());
        }
        Ok(picture.image)
    }
}
