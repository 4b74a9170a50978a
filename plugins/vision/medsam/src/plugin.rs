//! The plugin: requests of the host to passes of the network.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use medfocus_plugin_api as api;
use medfocus_plugin_api::{
    Component, Context, GrayImage, Mask, Segment, SegmentRequest, Segmenter,
};
use medfocus_torch::device::{self, DeviceRequest, Precision};
use medfocus_torch::tch::{Kind, Tensor};
use medfocus_torch::weights::Weights;
use ndarray::Array2;

use crate::config::Config;
use crate::processor::Processor;
use crate::regions::{Layout, probabilities, region};
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
    network: Mutex<Network>,
    context: Context,
}

struct Network {
    sam: Sam,
    processor: Processor,
}

impl Component for MedSam {
    const NAME: &'static str = "medsam";
    const SUMMARY: &'static str =
        "MedSAM and SAM checkpoints: refines boxes to regions, the image encoded once for all.";
    type Params = Settings;

    fn new(settings: Settings, context: Context) -> api::Result<Self> {
        if settings.path.is_empty() {
            return Err(api::Error::invalid("parameter `path` is missing")
                .with_hint("set it to the folder of a MedSAM or SAM checkpoint"));
        }
        Ok(Self {
            network: Mutex::new(load(&settings)?),
            context,
        })
    }
}

fn load(settings: &Settings) -> Result<Network> {
    let folder = Path::new(&settings.path);
    let request: DeviceRequest = settings.device.parse()?;
    let precision: Precision = settings.dtype.parse()?;
    // Before libtorch is asked for a device: a wrong folder should not cost a CUDA start.
    let config = Config::from_folder(folder)?;
    let processor = Processor::from_folder(folder, config.vision.image_size)?;
    let device = device::resolve(request)?;
    let weights = Weights::open(folder, device, precision.kind(device))?;
    Ok(Network {
        sam: Sam::new(config, &weights)?,
        processor,
    })
}

impl Segmenter for MedSam {
    fn segment(&self, request: &SegmentRequest) -> api::Result<Vec<Segment>> {
        // The network is never left half changed, so a panic in another call does not spoil it.
        let network = self.network.lock().unwrap_or_else(PoisonError::into_inner);
        let (depth, boxes) = (network.sam.depth(), request.boxes.len());
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
            let (region, confidence) = match network.processor.corners(bbox, height, width) {
                None => (Array2::from_elem((height, width), false), 0.0),
                Some(corners) => {
                    let embedding =
                        match &embedding {
                            Some(embedding) => embedding,
                            None => embedding.insert(network.encode(&request.image, &|layer| {
                                step(layer, "encoding the image")
                            })?),
                        };
                    step(depth + number, "segmenting")?;
                    network.refine(embedding, corners, height, width)?
                }
            };
            segments.push(Segment {
                mask: Mask::from_array(region.view())?,
                confidence,
            });
        }
        Ok(segments)
    }
}

impl Network {
    fn encode(&self, image: &GrayImage, watch: &dyn Fn(usize) -> Result<()>) -> Result<Tensor> {
        let pixels = self.processor.pixels(image.view())?;
        self.sam.encode(&pixels, watch)
    }

    /// The best mask of a box `[height, width]`, and its score.
    fn refine(
        &self,
        embedding: &Tensor,
        corners: [f64; 4],
        height: usize,
        width: usize,
    ) -> Result<(Array2<bool>, f64)> {
        let decoded = self.sam.decode(embedding, &[corners])?;
        let scores = decoded.scores.f_to_kind(Kind::Float)?.f_select(0, 0)?;
        let best = scores.f_argmax(0, false)?.f_int64_value(&[])?;
        let score = scores.f_double_value(&[best])?;
        if !score.is_finite() {
            return Err(Error::Checkpoint(
                "it predicts scores that are not numbers; use dtype = \"f32\" or another copy of it"
                    .to_owned(),
            ));
        }
        let (rows, columns) = self.processor.scaled(height, width);
        let layout = Layout {
            side: self.sam.config().vision.image_size,
            scaled: (rows as i64, columns as i64),
            image: (height as i64, width as i64),
        };
        let logits = decoded.masks.f_select(0, 0)?.f_select(0, best)?;
        Ok((region(&probabilities(&logits, layout)?)?, score))
    }
}

medfocus_plugin_api::export_plugin! {
    libtorch = "2.13.0";
    segmenter MedSam;
}
