//! The editor.

use std::sync::{Mutex, PoisonError};

use medfocus_plugin_api as api;
use medfocus_plugin_api::{Component, Context, CounterfactualEditor, EditRequest, GrayImage};
use medfocus_torch::device::{self, DeviceRequest, Precision};

use crate::backend::{Backend, Options};
use crate::folders::Folders;
use crate::masks::{LatentMask, paste_back, square, unsquare};
use crate::reverse::Composition;
use crate::text::TextMask;
use crate::{Error, Result};

medfocus_plugin_api::choices! {
    /// What is outside the region in the edited image.
    pub enum PasteBack {
        /// The original's pixels, but for a border around the region.
        Feather = "feather",
        /// What the networks made of them, as published.
        None = "none",
    }
}

medfocus_plugin_api::params! {
    /// Settings of the `radedit` editor.
    pub struct Settings {
        /// Folder that holds the folders `unet`, `vae`, `text_encoder` and, if it is not RadEdit's own, `scheduler`.
        pub path: String = "";
        /// Folder of the UNet (`unet` of microsoft/radedit), if not below `path`.
        pub unet: String = "";
        /// Folder of the autoencoder (stabilityai/sdxl-vae), if not below `path`.
        pub vae: String = "";
        /// Folder of the text encoder and its vocabulary (microsoft/BiomedVLP-BioViL-T), if not below `path`.
        pub text: String = "";
        /// Where it runs: `auto` (CUDA if there is any), `cpu` or `cuda:N`.
        pub device: String = "auto";
        /// Number format: `f32`, as published, `bf16`, or `auto` (f32 on the CPU, bf16 on CUDA).
        pub dtype: String = "f32";
        /// Steps from noise to image; best a divisor of 1000.
        pub steps: usize = 200, in 1..=1000;
        /// Scale of the guidance by the prompt; 1 is the prompt's own prediction.
        pub guidance: f64 = 7.5, in 0..=100;
        /// Share of the noisiest steps that is left out: the higher, the closer the edit stays to the image.
        pub skip: f64 = 0.3, in 0..=0.99;
        /// Side of the letterboxed square that is edited, pixels. 224 is the paper's; RadEdit was trained at 512.
        pub side: u32 = 224, in 32..=1024;
        /// Latents outside the region: those of the inversion with as much noise as inside, `paper`, or with one step's more,
        /// `released` (which leaves a little noise in the image).
        pub composition: Composition = "paper";
        /// Which latents (of 8 x 8 pixels) are in the region: `nearest`, those whose first pixel is, or `cover`, those
        /// with any pixel that is.
        pub latent_mask: LatentMask = "nearest";
        /// `feather`: outside the region the original's pixels return, so that nothing beyond the border changes; `none`, as
        /// published, leaves there what the networks made of them.
        pub paste_back: PasteBack = "feather";
        /// Width of the border in which edit and original are mixed, pixels of the square.
        pub feather: u32 = 3, in 0..=64;
        /// Tokens of a prompt that its encoder attends to: all 128, padding too (`none`), or its own alone (`tokenizer`).
        pub text_mask: TextMask = "none";
        /// What the image is inverted with.
        pub invert_prompt: String = "";
    }
}

/// RadEdit behind the host's interface.
///
/// The image is letterboxed, edited and brought back to its own size. A region without pixels leaves it as it is. The same
/// request always has the same answer on the same device.
pub struct RadEdit {
    /// libtorch's tensors may move between threads but not be shared by them.
    backend: Mutex<Backend>,
    settings: Settings,
    context: Context,
}

impl Component for RadEdit {
    const NAME: &'static str = "radedit";
    const SUMMARY: &'static str = "RadEdit (Pérez-García et al., ECCV 2024): latent diffusion paints what a prompt says into a region of a chest radiograph; its checkpoints are for research only.";
    type Params = Settings;

    fn new(settings: Settings, context: Context) -> api::Result<Self> {
        let folders = Folders::find(
            &settings.path,
            &settings.unet,
            &settings.vae,
            &settings.text,
        )?;
        let backend = load(&settings, &folders)?;
        tracing::info!("{} million parameters", backend.parameters() / 1_000_000);
        Ok(Self {
            backend: Mutex::new(backend),
            settings,
            context,
        })
    }
}

fn load(settings: &Settings, folders: &Folders) -> Result<Backend> {
    let request: DeviceRequest = settings.device.parse()?;
    let precision: Precision = settings.dtype.parse()?;
    let options = Options {
        steps: settings.steps,
        guidance: settings.guidance,
        skip: settings.skip,
        side: settings.side,
        composition: settings.composition,
        latent_mask: settings.latent_mask,
        text_mask: settings.text_mask,
        invert_prompt: settings.invert_prompt.clone(),
    };
    Backend::open(folders, options, || {
        // Not before the folders are known to be right: a wrong one should not cost a CUDA start.
        let device = device::resolve(request)?;
        Ok((device, precision.kind(device)))
    })
}

impl CounterfactualEditor for RadEdit {
    fn edit(&self, request: &EditRequest) -> api::Result<GrayImage> {
        let region = request.edited()?;
        if !region.iter().any(|&inside| inside) {
            return Ok(request.image.clone());
        }
        let image = request.image.view();
        let step = |done: usize, total: usize, what: &str| {
            self.context
                .step(done as u64, total as u64, what)
                .map_err(|_| Error::Cancelled)
        };
        let small = square(image, self.settings.side);
        let edited = {
            // The backend is never left half changed, so a panic in another call does not spoil it.
            let mut backend = self.backend.lock().unwrap_or_else(PoisonError::into_inner);
            backend.edit(
                small.view(),
                region.view(),
                &request.prompt,
                request.seed,
                &step,
            )?
        };
        let edited = unsquare(edited.view(), image.dim())?;
        GrayImage::from_array(match self.settings.paste_back {
            PasteBack::None => edited,
            PasteBack::Feather => {
                let longest = image.nrows().max(image.ncols()) as f64;
                let scale = longest / f64::from(self.settings.side);
                let border = (f64::from(self.settings.feather) * scale).round();
                paste_back(image, edited.view(), region.view(), border as u32)
            }
        })
    }
}

medfocus_plugin_api::export_plugin! {
    libtorch = "2.13.0";
    editor RadEdit;
}
