//! A checkpoint ready to refine boxes: network and image processor in one value.

use medfocus_plugin_api::GrayImage;
use medfocus_torch::grad::GradMode;
use medfocus_torch::tch::{Kind, Tensor};
use ndarray::Array2;

use crate::processor::Processor;
use crate::regions::{Layout, probabilities, region};
use crate::{Error, Result, Sam};

/// A checkpoint ready to refine boxes.
#[derive(Debug)]
pub struct Backend {
    sam: Sam,
    processor: Processor,
}

impl Backend {
    /// A network with the processor of its checkpoint.
    pub fn new(sam: Sam, processor: Processor) -> Self {
        Self { sam, processor }
    }

    /// The network.
    pub fn sam(&self) -> &Sam {
        &self.sam
    }

    /// What turns images into pixels and boxes into corners.
    pub fn processor(&self) -> &Processor {
        &self.processor
    }

    /// The embedding of an image; see [`Sam::encode`].
    pub fn encode(&self, image: &GrayImage, watch: &dyn Fn(usize) -> Result<()>) -> Result<Tensor> {
        let _off = GradMode::off();
        let pixels = self.processor.pixels(image.view())?;
        self.sam.encode(&pixels.f_unsqueeze(0)?, watch)
    }

    /// The mask that the network scores best for a box `[height, width]`, and its score. The box is given by its
    /// [corners](Processor::corners) in the network's input.
    pub fn refine(
        &self,
        embedding: &Tensor,
        corners: [f64; 4],
        height: usize,
        width: usize,
    ) -> Result<(Array2<bool>, f64)> {
        let _off = GradMode::off();
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
