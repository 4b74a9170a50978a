//! Grey images and boxes to what the network takes, as `SamImageProcessor` of transformers 4.57.3 does it.
//!
//! The longer side is scaled to the network's input with Pillow's resampling and the rest is padded with zeros
//! on the right and below. Checkpoints differ in the filter and in normalisation, so neither is assumed:
//! MedSAM's file says bicubic and no normalisation, where SAM's class defaults are bilinear and ImageNet's
//! statistics.

use std::path::Path;

use medfocus_plugin_api::{BBox, Working};
use medfocus_torch::pixels::{self, Engine, Filter, Levels, Normalisation};
use medfocus_torch::settings;
use medfocus_torch::tch::Tensor;
use ndarray::ArrayView2;
use serde::Deserialize;

use crate::{Error, Result};

/// ImageNet's mean and standard deviation of each channel.
const MEAN: [f64; 3] = [0.485, 0.456, 0.406];
const STD: [f64; 3] = [0.229, 0.224, 0.225];

/// The image processor of a checkpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct Processor {
    side: usize,
    filter: Filter,
    levels: Levels,
}

impl Processor {
    /// Reads the settings of a checkpoint folder for a network that takes `side` x `side` pixels.
    pub fn from_folder(folder: &Path, side: i64) -> Result<Self> {
        settings::processor(folder, |text| Self::parse(text, side))
    }

    /// Reads the text of a `preprocessor_config.json`; keys left out take the class defaults.
    pub fn parse(text: &str, side: i64) -> Result<Self> {
        let (raw, _) = settings::parse_processor::<Raw>(text)?;
        raw.resolve(side)
    }

    /// Height and width to which an image of `height` x `width` is scaled; the rest of the input is padding.
    ///
    /// Halves are rounded up, and no side vanishes.
    pub fn scaled(&self, height: usize, width: usize) -> (usize, usize) {
        let scale = self.side as f64 / height.max(width) as f64;
        let fit = |size: usize| ((size as f64 * scale + 0.5) as usize).max(1);
        (fit(height), fit(width))
    }

    /// Pixels `[3, side, side]`, f32, of a grey image.
    pub fn pixels(&self, image: ArrayView2<'_, u8>) -> Result<Tensor> {
        let (height, width) = self.scaled(image.nrows(), image.ncols());
        let grey = Engine::Pillow.resize(image, height, width, self.filter)?;
        let [right, below] = [width, height].map(|size| (self.side - size) as i64);
        let pixels = self.levels.pixels(grey.view())?;
        Ok(pixels.f_constant_pad_nd([0, right, 0, below])?)
    }

    /// Corners `[x1, y1, x2, y2]` of a box on an image of `height` x `width`, in pixels of the network's input;
    /// nothing for a box outside the image.
    ///
    /// Like the published code it takes a border of the box for a pixel, and the last one of the image for a
    /// border beyond it.
    pub fn corners(&self, bbox: &BBox<Working>, height: usize, width: usize) -> Option<[f64; 4]> {
        let [x1, y1, x2, y2] = bbox.corners().map(|corner| corner as usize);
        let (right, bottom) = (width.checked_sub(1)?, height.checked_sub(1)?);
        if x1 > right || y1 > bottom {
            return None;
        }
        let (scaled_height, scaled_width) = self.scaled(height, width);
        let x = |x: usize| x.min(right) as f64 * (scaled_width as f64 / width as f64);
        let y = |y: usize| y.min(bottom) as f64 * (scaled_height as f64 / height as f64);
        Some([x(x1), y(y1), x(x2), y(y2)])
    }
}

/// The file as written, with the defaults of the reference's class.
#[derive(Deserialize)]
#[serde(default)]
struct Raw {
    image_processor_type: String,
    do_resize: bool,
    size: LongestEdge,
    resample: i64,
    do_pad: bool,
    pad_size: PadSize,
    #[serde(flatten)]
    normalisation: Normalisation,
}

#[derive(Deserialize)]
struct LongestEdge {
    longest_edge: i64,
}

#[derive(Deserialize)]
struct PadSize {
    height: i64,
    width: i64,
}

impl Default for Raw {
    fn default() -> Self {
        Self {
            image_processor_type: "SamImageProcessor".to_owned(),
            do_resize: true,
            size: LongestEdge { longest_edge: 1024 },
            resample: 2,
            do_pad: true,
            pad_size: PadSize {
                height: 1024,
                width: 1024,
            },
            normalisation: Normalisation::default(),
        }
    }
}

impl Raw {
    fn resolve(self, side: i64) -> Result<Processor> {
        let refuse = |reason: String| Err(Error::Config(reason));
        if self.image_processor_type != "SamImageProcessor" {
            return refuse(format!(
                "image_processor_type {:?} is not SamImageProcessor",
                self.image_processor_type
            ));
        }
        if !self.do_resize || !self.do_pad {
            return refuse(
                "do_resize and do_pad must be true, since the network takes squares of one size"
                    .to_owned(),
            );
        }
        let sizes = [
            self.size.longest_edge,
            self.pad_size.height,
            self.pad_size.width,
        ];
        if sizes != [side; 3] {
            return refuse(format!(
                "its longest edge and padded sizes are {sizes:?} where the image encoder of config.json takes {side} x {side}"
            ));
        }
        Ok(Processor {
            side: side as usize,
            filter: pixels::filter(self.resample)?,
            levels: self.normalisation.levels(Engine::Pillow, MEAN, STD),
        })
    }
}
