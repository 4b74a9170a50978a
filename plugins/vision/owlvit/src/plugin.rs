//! The plugin: requests of the host to passes of the network.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use medfocus_plugin_api as api;
use medfocus_plugin_api::{Component, Context, DetectRequest, Detector, ScoredBox};
use medfocus_torch::device::{self, DeviceRequest, Precision};

use crate::backend::Backend;
use crate::detections::detections;
use crate::{Error, Result};

medfocus_plugin_api::params! {
    /// Settings of the `owlvit` detector.
    pub struct Settings {
        /// Folder of a Hugging Face checkpoint: OWL-ViT.
        pub path: String = "";
        /// Where it runs: `auto` (CUDA if there is any), `cpu` or `cuda:N`.
        pub device: String = "auto";
        /// Number format: `auto` (f32 on the CPU, bf16 on CUDA), `f32` or `bf16`.
        pub dtype: String = "auto";
    }
}

/// OWL-ViT behind the host's interface.
///
/// Each phrase is read as it stands, without "a photo of" before it, and gets the boxes that score more than the
/// threshold; see [`detections`]. A phrase's answer does not depend on the others. One that is too long for the network
/// is cut, with a warning in the log.
pub struct OwlVitDetector {
    /// libtorch's tensors may move between threads but not be shared by them.
    backend: Mutex<Backend>,
    context: Context,
}

impl Component for OwlVitDetector {
    const NAME: &'static str = "owlvit";
    const SUMMARY: &'static str = "OWL-ViT checkpoints: finds what phrases describe, the image encoded once for all; a phrase of more than 16 tokens is cut.";
    type Params = Settings;

    fn new(settings: Settings, context: Context) -> api::Result<Self> {
        if settings.path.is_empty() {
            return Err(api::Error::invalid("parameter `path` is missing")
                .with_key("path")
                .with_hint("set it to the folder of an OWL-ViT checkpoint"));
        }
        Ok(Self {
            backend: Mutex::new(load(&settings)?),
            context,
        })
    }
}

fn load(settings: &Settings) -> Result<Backend> {
    let request: DeviceRequest = settings.device.parse()?;
    let precision: Precision = settings.dtype.parse()?;
    Backend::open(Path::new(&settings.path), || {
        // Not before the folder is known to be right: a wrong one should not cost a CUDA start.
        let device = device::resolve(request)?;
        Ok((device, precision.kind(device)))
    })
}

impl Detector for OwlVitDetector {
    fn detect(&self, request: &DetectRequest) -> api::Result<Vec<Vec<ScoredBox>>> {
        if request.phrases.is_empty() {
            return Ok(Vec::new());
        }
        // The backend is never left half changed, so a panic in another call does not spoil it.
        let backend = self.backend.lock().unwrap_or_else(PoisonError::into_inner);
        let (depth, phrases) = (backend.depth(), request.phrases.len());
        let step = |done: usize, what: &str| {
            self.context
                .step(done as u64, (depth + phrases) as u64, what)
                .map_err(|_| Error::Cancelled)
        };
        let image = &request.image;
        let seen = backend.see(image, &|layer| step(layer, "encoding the image"))?;
        let mut found = Vec::with_capacity(phrases);
        for (number, phrase) in request.phrases.iter().enumerate() {
            step(depth + number, "looking for phrases")?;
            let read = backend.read(phrase)?;
            if read.cut {
                tracing::warn!(
                    "{phrase:?} is too long for the detector, which reads its first {} tokens",
                    read.ids.len()
                );
            }
            found.push(detections(
                &backend.scores(&seen, &read)?,
                &seen.boxes,
                (image.width(), image.height()),
                phrase,
                request.threshold,
                request.limit as usize,
            ));
        }
        Ok(found)
    }
}

medfocus_plugin_api::export_plugin! {
    libtorch = "2.13.0";
    detector OwlVitDetector;
}
