//! Where the parts of RadEdit are, and where they come from.

use std::path::{Path, PathBuf};

use medfocus_plugin_api as api;

/// One network of RadEdit.
#[derive(Debug, Clone, Copy)]
struct Part {
    /// The parameter that names its folder.
    key: &'static str,
    /// Its folder below that of the parameter `path`.
    folder: &'static str,
    /// How it is had.
    source: &'static str,
}

const UNET: Part = Part {
    key: "unet",
    folder: "unet",
    source: "RadEdit's UNet is the folder unet of microsoft/radedit on the Hugging Face hub, for research only: accept its terms there, then hf download microsoft/radedit --include \"unet/*\"",
};
const VAE: Part = Part {
    key: "vae",
    folder: "vae",
    source: "the autoencoder is stabilityai/sdxl-vae on the Hugging Face hub: hf download stabilityai/sdxl-vae",
};
const TEXT: Part = Part {
    key: "text",
    folder: "text_encoder",
    source: "the text encoder is microsoft/BiomedVLP-BioViL-T on the Hugging Face hub: hf download microsoft/BiomedVLP-BioViL-T, then convert its weights to safetensors",
};

/// The folders of the parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folders {
    /// Of the UNet.
    pub unet: PathBuf,
    /// Of the autoencoder.
    pub vae: PathBuf,
    /// Of the text encoder and its vocabulary.
    pub text: PathBuf,
    /// Of the noise schedule, unless it is RadEdit's own.
    pub scheduler: Option<PathBuf>,
}

impl Folders {
    /// The folders named `unet`, `vae` and `text`, or else `unet`, `vae` and `text_encoder` below `path`; below it also
    /// `scheduler`, if it is there. A parameter that is empty is not given.
    ///
    /// # Errors
    ///
    /// A folder that is not given or not there, with the way to have it.
    pub fn find(path: &str, unet: &str, vae: &str, text: &str) -> api::Result<Self> {
        let scheduler = Path::new(path).join("scheduler");
        Ok(Self {
            unet: UNET.find(path, unet)?,
            vae: VAE.find(path, vae)?,
            text: TEXT.find(path, text)?,
            scheduler: (!path.is_empty() && scheduler.is_dir()).then_some(scheduler),
        })
    }
}

impl Part {
    fn find(self, path: &str, own: &str) -> api::Result<PathBuf> {
        let (folder, key) = match (own, path) {
            ("", "") => {
                let message = format!("neither parameter `{}` nor `path` is given", self.key);
                return Err(api::Error::invalid(message)
                    .with_key(self.key)
                    .with_hint(self.source));
            }
            ("", path) => (Path::new(path).join(self.folder), "path"),
            (own, _) => (PathBuf::from(own), self.key),
        };
        if folder.is_dir() {
            return Ok(folder);
        }
        let message = format!("there is no folder {}", folder.display());
        Err(api::Error::missing(message)
            .with_key(key)
            .with_hint(self.source))
    }
}
