//! Grey images to the normalised pixels the tower was trained on.
//!
//! Two published processors exist and differ in their last bits; which one runs is decided by the `image_processor_type` of the
//! checkpoint. In the older file `Gemma3ImageProcessor` resizes with Pillow and normalises in two steps, as transformers 4.57.3
//! does it, and `Gemma3ImageProcessorFast` resizes with torchvision and normalises in one. In the newer, which only transformers 5
//! reads, the first name means what was the second, and Pillow's is called `Gemma3ImageProcessorPil`.

use std::path::Path;

use medfocus_lvlm::network::Pixels;
use medfocus_torch::pixels::{self, Engine, Filter, Levels, Normalisation, Size};
use medfocus_torch::settings;
use medfocus_torch::tch::Tensor;
use ndarray::ArrayView2;
use serde::Deserialize;

use crate::{Error, Result};

/// The image processor of a checkpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct Processor {
    side: usize,
    resampling: Option<(Engine, Filter)>,
    levels: Levels,
}

impl Processor {
    /// Reads the settings of a checkpoint folder for a tower that takes `side` x `side` pixels.
    pub fn from_folder(folder: &Path, side: i64) -> Result<Self> {
        settings::processor(folder, |text| Self::parse(text, side))
    }

    /// Reads the text of a `preprocessor_config.json`; keys left out take the class defaults.
    pub fn parse(text: &str, side: i64) -> Result<Self> {
        let (raw, newer) = settings::parse_processor::<Raw>(text)?;
        raw.resolve(side, newer)
    }
}

impl Pixels for Processor {
    fn size(&self, _: usize, _: usize) -> Result<(i64, i64)> {
        let side = self.side as i64;
        Ok((side, side))
    }

    fn pixels(&self, image: ArrayView2<'_, u8>) -> Result<Tensor> {
        let side = self.side;
        match self.resampling {
            Some((engine, filter)) => {
                let grey = engine.resize(image, side, side, filter)?;
                self.levels.pixels(grey.view())
            }
            None if image.dim() == (side, side) => self.levels.pixels(image),
            None => Err(Error::Request(format!(
                "this checkpoint does not resize its images, so they must be {side} x {side} pixels, not {} x {}",
                image.ncols(),
                image.nrows()
            ))),
        }
    }
}

/// The file as written, with the defaults of the reference's classes.
#[derive(Deserialize)]
#[serde(default)]
struct Raw {
    image_processor_type: String,
    do_resize: Option<bool>,
    size: Option<Size>,
    resample: Option<i64>,
    do_pan_and_scan: Option<bool>,
    #[serde(flatten)]
    normalisation: Normalisation,
}

impl Default for Raw {
    fn default() -> Self {
        Self {
            image_processor_type: "Gemma3ImageProcessor".to_owned(),
            do_resize: None,
            size: None,
            resample: None,
            do_pan_and_scan: None,
            normalisation: Normalisation::default(),
        }
    }
}

impl Raw {
    fn resolve(self, side: i64, newer: bool) -> Result<Processor> {
        let refuse = |reason: String| Err(Error::Config(reason));
        let engine = match self.image_processor_type.as_str() {
            "Gemma3ImageProcessor" if newer => Engine::Torchvision,
            "Gemma3ImageProcessor" | "Gemma3ImageProcessorPil" => Engine::Pillow,
            "Gemma3ImageProcessorFast" => Engine::Torchvision,
            other => {
                return refuse(format!(
                    "image_processor_type {other:?} is not Gemma3ImageProcessor, its Pil or its Fast form"
                ));
            }
        };
        if self.do_pan_and_scan == Some(true) {
            return refuse("do_pan_and_scan splits an image into crops, which is not supported; set it to false".to_owned());
        }
        self.size.unwrap_or(Size::Square(224)).check(side)?;
        let filter = pixels::filter(self.resample.unwrap_or(2))?;
        Ok(Processor {
            side: side as usize,
            resampling: self.do_resize.unwrap_or(true).then_some((engine, filter)),
            levels: self.normalisation.levels(engine, [0.5; 3], [0.5; 3]),
        })
    }
}
