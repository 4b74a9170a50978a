//! The plugin: requests of the host to passes of the network.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use medfocus_plugin_api as api;
use medfocus_plugin_api::{Component, Context, Mask, Segment, SegmentRequest, Segmenter};
use medfocus_torch::device::{self, DeviceRequest, Precision};
use medfocus_torch::weights::Weights;
use ndarray::Array2;

use crate::backend::Backend;
use crate::config::Config;
use crate::processor::Processor;
use crate::{Error, Result, Sam};

medfocus_plugin_api::params! {
    /// Settings of the `medsam` segmenter.
    pub struct Settings {
        /// Folder of a Hugging Face checkpoint: MedSAM or SAM.
        pub path: String = "";
        /// Where it runs: `auto` (CUDA if there is any), `cpu` or `cuda:N`.
        pub device: String = "auto";
        /// Number format: `auto` (f32 on the CPU, bf16 on CUDA), `f32` or `bf16`.
        pub dtype: String = "auto";
    }
}

/// MedSAM behind the host's interface.
///
/// Each box gets the mask that the network scores best; that score is the confidence. A box outside the image
/// has an empty mask of confidence 0. A box's answer does not depend on the others.
pub struct MedSam {
    /// libtorch's tensors may move between threads but not be shared by them.
    backend: Mutex<Backend>,
    context: Context,
}

impl Component for MedSam {
    const NAME: &'static str = "medsam";
    const SUMMARY: &'static str =
        "MedSAM and SAM checkpoints: refines boxes to regions, the image encoded once for all.";
    type Params = Settings;

    fn new(settings: Settings, context: Context) -> api::Result<Self> {
        if settings.path.is_empty() {
            return Err(api::Error::invalid("parameter `path` is missing")
                .with_key("path")
                .with_hint("set it to the folder of a MedSAM or SAM checkpoint"));
        }
        Ok(Self {
            backend: Mutex::new(load(&settings)?),
            context,
        })
    }
}

fn load(settings: &Settings) -> Result<Backend> {
    let folder = Path::new(&settings.path);
    let request: DeviceRequest = settings.device.parse()?;
    let precision: Precision = settings.dtype.parse()?;
    // Before libtorch is asked for a device: a wrong folder should not cost a CUDA start.
    let config = Config::from_folder(folder)?;
    let processor = Processor::from_folder(folder, config.vision.image_size)?;
    let device = device::resolve(request)?;
    let weights = Weights::open(folder, device, precision.kind(device))?;
    Ok(Backend::new(Sam::new(config, &weights)?, processor))
}

impl Segmenter for MedSam {
    fn segment(&self, request: &SegmentRequest) -> api::Result<Vec<Segment>> {
        // The backend is never left half changed, so a panic in another call does not spoil it.
        let backend = self.backend.lock().unwrap_or_else(PoisonError::into_inner);
        let (depth, boxes) = (backend.sam().depth(), request.boxes.len());
        let step = |done: usize, what: &str| {
            self.context
                .step(done as u64, (depth + boxes) as u64, what)
                .map_err(|_| Error::Cancelled)
        };
        let (width, height) = (
            request.image.width() as usize,
            request.image.height() as usize,
        );
        // One pass for all boxes, and none if no box needs it.
        let mut embedding = None;
        let mut segments = Vec::with_capacity(boxes);
        for (number, bbox) in request.boxes.iter().enumerate() {
            let (region, confidence) = match backend.processor().corners(bbox, height, width) {
                None => (Array2::from_elem((height, width), false), 0.0),
                Some(corners) => {
                    let embedding =
                        match &embedding {
                            Some(embedding) => embedding,
                            None => embedding.insert(backend.encode(&request.image, &|layer| {
                                step(layer, "encoding the image")
                            })?),
                        };
                    step(depth + number, "segmenting")?;
                    backend.refine(embedding, corners, height, width)?
                }
            };
            segments.push(Segment::new(Mask::from_array(region.view())?, confidence));
        }
        Ok(segments)
    }
}

medfocus_plugin_api::export_plugin! {
    libtorch = "2.13.0";
    segmenter MedSam;
}
