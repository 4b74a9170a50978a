//! The whole network.
//!
//! Built from a checkpoint folder for inference, or from tensors in memory for training: every operation is recorded
//! by autograd when the tensors require gradients.

use std::collections::BTreeMap;
use std::path::Path;

use medfocus_torch::tch::{Device, Kind, Tensor};
use medfocus_torch::weights::Weights;

use crate::Result;
use crate::config::Config;
use crate::heads::{BoxHead, ClassHead};
use crate::image::ImageTower;
use crate::text::TextTower;

/// OWL-ViT: an image is encoded once, then any number of phrases is looked for.
#[derive(Debug)]
pub struct OwlVit {
    config: Config,
    image: ImageTower,
    text: TextTower,
    classes: ClassHead,
    boxes: BoxHead,
    device: Device,
    kind: Kind,
}

impl OwlVit {
    /// Loads a Hugging Face checkpoint folder.
    pub fn from_folder(folder: &Path, device: Device, kind: Kind) -> Result<Self> {
        let config = Config::from_folder(folder)?;
        Self::new(config, &Weights::open(folder, device, kind)?)
    }

    /// The network of a configuration and these weights.
    ///
    /// # Errors
    ///
    /// A tensor that is missing, of another shape, or left over.
    pub fn new(config: Config, weights: &Weights) -> Result<Self> {
        // What CLIP compares whole images by: every checkpoint holds it, detection has no use for it.
        let projection = [config.projection, config.vision.hidden_size];
        let unused = weights.get("owlvit.visual_projection.weight", &projection)?;
        let _ = weights.get("owlvit.logit_scale", &[])?;
        let device = unused.device();
        let model = Self {
            image: ImageTower::new(&config.vision, weights)?,
            text: TextTower::new(&config, weights)?,
            classes: ClassHead::new(&config, weights)?,
            boxes: BoxHead::new(&config, weights, device)?,
            kind: unused.f_kind()?,
            device,
            config,
        };
        // Old exports hold buffers that are computed.
        weights.check_unused(|name| name.ends_with(".position_ids"))?;
        Ok(model)
    }

    /// Name and shape of every parameter of this configuration.
    pub fn parameters(config: &Config) -> Result<BTreeMap<String, Vec<i64>>> {
        let blueprint = Weights::blueprint();
        Self::new(config.clone(), &blueprint)?;
        Ok(blueprint.wanted())
    }

    /// The configuration it was built from.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Layers of the image tower.
    pub fn depth(&self) -> usize {
        self.image.depth()
    }

    /// Pixels `[images, 3, side, side]` to features `[images, patches, width]`.
    ///
    /// Before each layer it tells `watch` how many are done; an error of it stops the work.
    pub fn encode(&self, pixels: &Tensor, watch: &dyn Fn(usize) -> Result<()>) -> Result<Tensor> {
        let pixels = pixels.f_to_device(self.device)?.f_to_kind(self.kind)?;
        self.image.forward(&pixels, watch)
    }

    /// The embedding `[1, projection]` of a phrase's tokens.
    pub fn phrase(&self, ids: &[i64]) -> Result<Tensor> {
        self.text.forward(ids)
    }

    /// How well phrases `[phrases, projection]` describe what each patch shows: logits `[images, patches, phrases]`, f32.
    pub fn logits(&self, features: &Tensor, phrases: &Tensor) -> Result<Tensor> {
        self.classes.forward(features, phrases)
    }

    /// The box of what each patch shows, whatever the phrase; see [`BoxHead::forward`].
    pub fn boxes(&self, features: &Tensor) -> Result<Tensor> {
        self.boxes.forward(features)
    }
}
