//! Which file holds which edit.

use std::path::{Component, Path, PathBuf};

use medfocus_plugin_api::{EditRequest, Error, Result, SampleKey, protocol::editor::Side};

/// The edits that have a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit {
    /// The region without the finding.
    Foreground,
    /// All but the region without the finding.
    Background,
    /// All but the region without any abnormality.
    BackgroundNormal,
    /// The region edited, its content kept.
    Sham,
}

impl Edit {
    /// What a request asks for: by its side, and by a prompt that begins with `No ` or does not. Letter case does not count.
    ///
    /// # Errors
    ///
    /// [`Error::unsupported`] for a sham edit of the background, which has no file.
    pub fn of(request: &EditRequest) -> Result<Self> {
        let prompt = request.prompt.trim().to_lowercase();
        match (request.side, prompt.starts_with("no ")) {
            (Side::Foreground, true) => Ok(Self::Foreground),
            (Side::Foreground, false) => Ok(Self::Sham),
            (Side::Background, true) if prompt == "no abnormality" => Ok(Self::BackgroundNormal),
            (Side::Background, true) => Ok(Self::Background),
            (Side::Background, false) => Err(Error::unsupported(
                "precomputed edits of the background are known for prompts that begin with `No ` only",
            )),
        }
    }
}

/// How the file of one edit is called: a path in the folder, with `{index}` and perhaps `{dataset}` for the sample's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Naming(String);

impl Naming {
    /// A naming from the parameter `key`.
    ///
    /// # Errors
    ///
    /// [`Error::invalid`] naming the parameter: without `{index}`, with other braces, or leading out of the folder.
    pub fn new(key: &str, pattern: &str) -> Result<Self> {
        let wrong = |why: &str| {
            Error::invalid(format!("parameter `{key}`: `{pattern}` {why}"))
                .with_key(key)
                .with_hint("it names a file in the folder, as `{index}_edited.png` or `{dataset}/{index}_edited.png`")
        };
        if !pattern.contains("{index}") {
            return Err(wrong("has no `{index}`"));
        }
        let rest = pattern.replace("{index}", "").replace("{dataset}", "");
        if rest.contains(['{', '}']) {
            return Err(wrong(
                "has other braces than those of `{index}` and `{dataset}`",
            ));
        }
        if !stays(Path::new(pattern)) {
            return Err(wrong("leads out of the folder"));
        }
        Ok(Self(pattern.to_owned()))
    }

    /// The file of a sample's edit. A folder with a subfolder for the sample's dataset is that subfolder, unless the naming
    /// says where the dataset's name goes.
    ///
    /// # Errors
    ///
    /// [`Error::invalid`] if the dataset's name is no name of a folder.
    pub fn file(&self, folder: &Path, sample: &SampleKey) -> Result<PathBuf> {
        let dataset = Path::new(&sample.dataset);
        if !stays(dataset) || dataset.components().count() != 1 {
            return Err(Error::invalid(format!(
                "the dataset's name `{}` cannot be that of a folder",
                sample.dataset
            )));
        }
        let name = self.0.replace("{index}", &sample.index.to_string());
        let name = name.replace("{dataset}", &sample.dataset);
        let of_dataset = folder.join(dataset);
        Ok(if !self.0.contains("{dataset}") && of_dataset.is_dir() {
            of_dataset.join(name)
        } else {
            folder.join(name)
        })
    }
}

/// Whether a path goes down from where it starts.
fn stays(path: &Path) -> bool {
    path.components()
        .all(|component| matches!(component, Component::Normal(_)))
}
