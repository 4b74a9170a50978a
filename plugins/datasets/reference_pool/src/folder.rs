//! Which files make a pool.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use medfocus_plugin_api::CONCEPTS;
use medfocus_plugin_api::{Context, Error, GrayImage, Mask, Result};

use crate::file;

/// The files of a pool, in the order of the names.
#[derive(Clone, Debug)]
pub struct Folder {
    /// The folder without links; files are named as the user named it.
    root: PathBuf,
    /// Never empty.
    pub references: Vec<Files>,
}

/// The files of one reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// Its name.
    pub name: String,
    image: PathBuf,
    masks: BTreeMap<&'static str, PathBuf>,
}

/// What the files of a reference hold.
pub struct Content {
    /// The image at its own size.
    pub image: GrayImage,
    /// Its masks by concept.
    pub masks: BTreeMap<String, Mask>,
    /// Of the name, the concepts and the files' bytes.
    pub digest: blake3::Hash,
}

impl Folder {
    /// Looks through a pool; reads no file.
    ///
    /// # Errors
    ///
    /// [`Error::missing`] if a folder or all images are missing, [`Error::invalid`] naming what does not belong there.
    pub fn open(path: &Path) -> Result<Self> {
        let root = path.canonicalize().map_err(|error| {
            Error::missing(format!("pool {} cannot be opened: {error}", path.display()))
                .with_hint("`path` names a folder with `images` and `masks`")
        })?;
        let images = images(&path.join("images"))?;
        let names: BTreeSet<_> = images.keys().cloned().collect();
        let folders = path.join("masks");
        if let Some((_, stray)) = file::list(&folders)?
            .into_iter()
            .find(|(name, _)| !names.contains(name))
        {
            return Err(Error::invalid(format!(
                "{} belongs to no image of the pool",
                stray.display()
            ))
            .with_hint("masks lie in `masks/NAME` for `images/NAME.png`"));
        }
        let references = images.into_iter().map(|(name, image)| {
            let masks = masks(&folders.join(&name), &image)?;
            Ok(Files { name, image, masks })
        });
        Ok(Self {
            references: references.collect::<Result<_>>()?,
            root,
        })
    }

    /// Reads a reference and checks that masks and image fit.
    ///
    /// # Errors
    ///
    /// [`Error::invalid`] naming the file.
    pub fn read(&self, context: &Context, files: &Files) -> Result<Content> {
        let mut hasher = blake3::Hasher::new();
        let mut hash = |name: &str, bytes: &[u8]| {
            hasher.update(blake3::hash(name.as_bytes()).as_bytes());
            hasher.update(blake3::hash(bytes).as_bytes());
        };
        let bytes = file::bytes(&self.root, &files.image)?;
        hash(&files.name, &bytes);
        let image = file::image(context, &files.image, &bytes)?;
        let mut masks = BTreeMap::new();
        for (concept, path) in &files.masks {
            let bytes = file::bytes(&self.root, path)?;
            hash(concept, &bytes);
            masks.insert(
                (*concept).to_owned(),
                file::mask(context, path, &bytes, &image)?,
            );
        }
        Ok(Content {
            image,
            masks,
            digest: hasher.finalize(),
        })
    }
}

fn images(folder: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let mut images: BTreeMap<String, PathBuf> = BTreeMap::new();
    for (file_name, path) in file::list(folder)? {
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        let name = stem.unwrap_or(&file_name).to_owned();
        if let Some(other) = images.get(&name) {
            return Err(Error::invalid(format!(
                "{} and {file_name} are two images of one name",
                other.display()
            ))
            .with_hint("remove or rename one of them"));
        }
        images.insert(name, path);
    }
    if images.is_empty() {
        return Err(Error::missing(format!(
            "{} holds no image",
            folder.display()
        )));
    }
    Ok(images)
}

fn masks(folder: &Path, image: &Path) -> Result<BTreeMap<&'static str, PathBuf>> {
    let none = || {
        Error::missing(format!("image {} has no mask", image.display())).with_hint(format!(
            "put one or more as {}",
            folder.join("CONCEPT.png").display()
        ))
    };
    if !folder.is_dir() {
        return Err(none());
    }
    let mut masks: BTreeMap<&str, PathBuf> = BTreeMap::new();
    for (_, path) in file::list(folder)? {
        let concept = concept(&path)?;
        if let Some(other) = masks.get(concept) {
            return Err(Error::invalid(format!(
                "{} and {} are two masks of one concept",
                other.display(),
                path.display()
            ))
            .with_hint("remove one of them"));
        }
        masks.insert(concept, path);
    }
    if masks.is_empty() {
        return Err(none());
    }
    Ok(masks)
}

/// The concept whose mask a file holds.
fn concept(path: &Path) -> Result<&'static str> {
    let stem = path.file_stem().and_then(|stem| stem.to_str());
    let found = stem
        .filter(|_| file::kind(path).is_some())
        .and_then(|stem| CONCEPTS.into_iter().find(|name| file_name(name) == stem));
    found.ok_or_else(|| {
        let names = CONCEPTS.map(|name| format!("{}.png", file_name(name)));
        Error::invalid(format!("{} names no concept", path.display()))
            .with_hint(format!("masks are named {}; or .npy", names.join(", ")))
    })
}

/// How a concept's file is called, without extension.
fn file_name(concept: &str) -> String {
    concept.replace(' ', "_")
}
