//! The editor.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use medfocus_imaging::resample::{Filter, resize};
use medfocus_imaging::working::letterbox;
use medfocus_plugin_api as api;
use medfocus_plugin_api::{
    Component, Context, CounterfactualEditor, EditRequest, GrayImage, Letterbox, choices, params,
    protocol::editor::Side,
};
use medfocus_torch::device::{self, DeviceRequest, Precision};
use ndarray::{Array2, ArrayView2, s};

use crate::inversion::Composition;
use crate::masks::{Cells, letterboxed, paste};
use crate::pipeline::{Folders, Options, Pipeline};
use crate::{Error, Result};

choices! {
    /// How latents outside the region are kept.
    pub enum Kept {
        /// As the paper has it: in the end they are the image's own.
        Paper = "paper",
        /// As the released code does it: a trace of noise remains.
        Released = "released",
    }
}

choices! {
    /// How a region becomes cells of latents.
    pub enum Grid {
        /// A cell is edited if any of its pixels is.
        Any = "any",
        /// A cell is edited if its first pixel is.
        Nearest = "nearest",
    }
}

choices! {
    /// What the text encoder sees of a prompt's padding.
    pub enum TextMask {
        /// All of it, as diffusers' own pipelines have it.
        Open = "none",
        /// Nothing.
        Tokenizer = "tokenizer",
    }
}

params! {
    /// Settings of the `radedit` editor.
    pub struct Settings {
        /// Folder with the parts below as `unet`, `vae`, `text_encoder` and, if it is there, `scheduler`.
        pub path: String = "";
        /// Folder of the diffusion model, in place of the one in `path`.
        pub unet: String = "";
        /// Folder of the autoencoder, in place of the one in `path`.
        pub vae: String = "";
        /// Folder of the text encoder with its vocabulary, in place of the one in `path`.
        pub text: String = "";
        /// Where it runs: `auto` (CUDA if there is any), `cpu` or `cuda:N`.
        pub device: String = "auto";
        /// Number format: `auto` (f32 on the CPU, bf16 on CUDA), `f32` or `bf16`.
        pub dtype: String = "auto";
        /// Steps of the walk from image to noise.
        pub steps: i64 = 200, in 2..=1000;
        /// How much more the prompt counts than none.
        pub guidance: f64 = 7.5, in 0..=100;
        /// Share of the noisiest steps that is left out on the way back.
        pub skip: f64 = 0.3, in 0..=0.95;
        /// Side in pixels of the square in which an image is edited: 224 as in the paper; RadEdit was trained at 512.
        pub side: u32 = 224, in 64..=2048;
        /// How latents outside the region are kept.
        pub composition: Kept = "paper";
        /// How a region becomes cells of latents.
        pub cells: Grid = "any";
        /// Pixels over which an edit fades into the original around its region; -1 gives the whole decoded image back.
        pub feather: i64 = 3, in -1..=64;
        /// What the text encoder sees of a prompt's padding.
        pub text_mask: TextMask = "none";
        /// The prompt of the walk up.
        pub invert_prompt: String = "";
    }
}

/// RadEdit (Pérez-García et al., ECCV 2024): a latent diffusion model of chest radiographs that edits a region as a prompt
/// says and keeps the rest.
///
/// An image of another size than `side` squared is letterboxed to it and its edit brought back.
pub struct RadEdit {
    /// libtorch's tensors may move between threads but not be shared by them.
    pipeline: Mutex<Pipeline>,
    settings: Settings,
    context: Context,
}

impl Component for RadEdit {
    const NAME: &'static str = "radedit";
    const SUMMARY: &'static str =
        "RadEdit: a diffusion model of chest radiographs edits a region as the prompt says.";
    type Params = Settings;

    fn new(settings: Settings, context: Context) -> api::Result<Self> {
        let pipeline = load(&settings)?;
        if !(settings.side as usize).is_multiple_of(pipeline.cell()) {
            return Err(api::Error::invalid(format!(
                "parameter `side` is {}, which is no multiple of the {} pixels of a cell of latents",
                settings.side,
                pipeline.cell()
            ))
            .with_key("side"));
        }
        tracing::info!(
            parameters = pipeline.parameters(),
            steps = pipeline.steps(),
            "RadEdit is ready"
        );
        Ok(Self {
            pipeline: Mutex::new(pipeline),
            settings,
            context,
        })
    }
}

/// The folder of a part: its own parameter, or the one in `path`.
fn part(settings: &Settings, own: &str, key: &'static str, name: &str) -> api::Result<PathBuf> {
    if !own.is_empty() {
        return Ok(own.into());
    }
    if settings.path.is_empty() {
        return Err(api::Error::missing(format!(
            "parameter `{key}` is missing: RadEdit needs a diffusion model, an autoencoder and a text encoder"
        ))
        .with_key(key)
        .with_hint(
            "download microsoft/radedit (gated, for research only), stabilityai/sdxl-vae and \
             microsoft/BiomedVLP-BioViL-T, and set `unet`, `vae` and `text` to their folders",
        ));
    }
    Ok(Path::new(&settings.path).join(name))
}

fn load(settings: &Settings) -> api::Result<Pipeline> {
    let unet = part(settings, &settings.unet, "unet", "unet")?;
    let vae = part(settings, &settings.vae, "vae", "vae")?;
    let text = part(settings, &settings.text, "text", "text_encoder")?;
    let scheduler = Path::new(&settings.path).join("scheduler");
    let scheduler =
        (!settings.path.is_empty() && scheduler.is_dir()).then_some(scheduler.as_path());
    let request: DeviceRequest = settings.device.parse()?;
    let precision: Precision = settings.dtype.parse()?;
    let options = Options {
        steps: settings.steps,
        guidance: settings.guidance,
        skip: settings.skip,
        composition: match settings.composition {
            Kept::Paper => Composition::Paper,
            Kept::Released => Composition::Released,
        },
        cells: match settings.cells {
            Grid::Any => Cells::Any,
            Grid::Nearest => Cells::Nearest,
        },
        hide_padding: settings.text_mask == TextMask::Tokenizer,
        invert_prompt: settings.invert_prompt.clone(),
    };
    let folders = Folders {
        unet: &unet,
        vae: &vae,
        text: &text,
        scheduler,
    };
    for folder in [&unet, &vae, &text] {
        if !folder.is_dir() {
            let message = format!("RadEdit: there is no folder {}", folder.display());
            return Err(api::Error::missing(message).with_hint("see docs/editors.md"));
        }
    }
    let device = device::resolve(request)?;
    Ok(Pipeline::load(
        folders,
        device,
        precision.kind(device),
        options,
    )?)
}

impl CounterfactualEditor for RadEdit {
    fn edit(&self, request: &EditRequest) -> api::Result<GrayImage> {
        let region = request.edited()?;
        let image = request.image.view();
        let (width, height) = (request.image.width(), request.image.height());
        let side = self.settings.side;
        let edited = if (width, height) == (side, side) {
            self.run(image, region.view(), request)?
        } else {
            let place = Letterbox::new(width, height, side)?;
            let square = letterbox(image, side);
            let outside = request.side == Side::Background;
            let inside = letterboxed(region.view(), &place, side, outside);
            let edited = self.run(square.view(), inside.view(), request)?;
            let [x1, y1, x2, y2] = place.content().corners().map(|corner| corner as usize);
            let (height, width) = image.dim();
            resize(
                edited.slice(s![y1..y2, x1..x2]),
                height,
                width,
                Filter::Bicubic,
            )
        };
        let edited = match usize::try_from(self.settings.feather) {
            Ok(feather) => paste(image, edited.view(), region.view(), feather),
            Err(_) => edited,
        };
        GrayImage::from_array(edited)
    }
}

impl RadEdit {
    fn run(
        &self,
        image: ArrayView2<'_, u8>,
        region: ArrayView2<'_, bool>,
        request: &EditRequest,
    ) -> Result<Array2<u8>> {
        // The pipeline is never left half changed, so a panic in another call does not spoil it.
        let mut pipeline = self.pipeline.lock().unwrap_or_else(PoisonError::into_inner);
        let total = pipeline.steps() as u64;
        let step = |done: usize| {
            let step = self.context.step(done as u64, total, "editing");
            step.map_err(|_| Error::Cancelled)
        };
        pipeline.edit(image, region, &request.prompt, request.seed, &step)
    }
}
