//! A checkpoint ready to look for phrases: network, image processor and tokenizer in one value.

use std::path::Path;

use medfocus_plugin_api::GrayImage;
use medfocus_torch::grad::GradMode;
use medfocus_torch::tch::{Device, Kind, Tensor};
use medfocus_torch::weights::Weights;

use crate::config::Config;
use crate::processor::Processor;
use crate::tokenizer::{Phrase, Phrases};
use crate::{Error, OwlVit, Result};

/// A checkpoint ready to look for phrases.
#[derive(Debug)]
pub struct Backend {
    owl: OwlVit,
    processor: Processor,
    phrases: Phrases,
}

/// An image that phrases can be looked for in.
#[derive(Debug)]
pub struct Seen {
    features: Tensor,
    /// The box of what each patch shows: middle, width and height, as shares of the image.
    pub boxes: Vec<[f32; 4]>,
}

impl Backend {
    /// Loads a Hugging Face checkpoint folder onto the device and in the number format of `place`, which is asked only
    /// once the small files are known to be right.
    pub fn open(folder: &Path, place: impl FnOnce() -> Result<(Device, Kind)>) -> Result<Self> {
        let config = Config::from_folder(folder)?;
        let processor = Processor::from_folder(folder, config.vision.image_size)?;
        let phrases = Phrases::from_folder(folder, &config.text)?;
        let (device, kind) = place()?;
        let owl = OwlVit::new(config, &Weights::open(folder, device, kind)?)?;
        Ok(Self {
            owl,
            processor,
            phrases,
        })
    }

    /// Layers of the image tower.
    pub fn depth(&self) -> usize {
        self.owl.depth()
    }

    /// The tokens of a phrase; see [`Phrases::read`].
    pub fn read(&self, phrase: &str) -> Result<Phrase> {
        self.phrases.read(phrase)
    }

    /// Looks at an image; see [`OwlVit::encode`].
    pub fn see(&self, image: &GrayImage, watch: &dyn Fn(usize) -> Result<()>) -> Result<Seen> {
        let _off = GradMode::off();
        let pixels = self.processor.pixels(image.view())?;
        let features = self.owl.encode(&pixels.f_unsqueeze(0)?, watch)?;
        let boxes = numbers(&self.owl.boxes(&features)?)?;
        let boxes = boxes.as_chunks().0.to_vec();
        Ok(Seen { features, boxes })
    }

    /// How sure the network is, from 0 to 1, that a phrase describes what each patch of an image shows.
    pub fn scores(&self, seen: &Seen, phrase: &Phrase) -> Result<Vec<f32>> {
        let _off = GradMode::off();
        let phrase = self.owl.phrase(&phrase.ids)?;
        numbers(&self.owl.logits(&seen.features, &phrase)?.f_sigmoid()?)
    }
}

/// The numbers of a tensor in f32, in order.
fn numbers(tensor: &Tensor) -> Result<Vec<f32>> {
    let tensor = tensor.f_to_device(Device::Cpu)?.f_contiguous()?;
    let mut numbers = vec![0.0_f32; tensor.numel()];
    tensor.f_copy_data(&mut numbers, tensor.numel())?;
    if numbers.iter().all(|number| number.is_finite()) {
        return Ok(numbers);
    }
    Err(Error::Checkpoint(
        "it predicts scores or boxes that are not numbers; use dtype = \"f32\" or another copy of it".to_owned(),
    ))
}
