//! Grey images to normalised pixels, at a size of whole image tokens.
//!
//! Transformers 4.57.3 runs its torchvision processor (`Qwen2VLImageProcessorFast`) whichever of the two names a checkpoint
//! gives; transformers 5 writes `Qwen2VLImageProcessorPil` where Pillow is meant. Pixels stay an image here: the tower cuts its
//! patches itself.

use std::path::Path;

use medfocus_lvlm::network::Pixels;
use medfocus_torch::pixels::{Engine, Filter, Levels, Normalisation, filter};
use medfocus_torch::settings;
use medfocus_torch::tch::Tensor;
use ndarray::ArrayView2;
use serde::Deserialize;

use crate::config::VisionConfig;
use crate::{Error, Result};

/// CLIP's mean and standard deviation of each channel.
const MEAN: [f64; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
const STD: [f64; 3] = [0.268_629_54, 0.261_302_58, 0.275_777_11];
/// Least and most pixels of an image unless the file says otherwise. The released checkpoints' files say 12845056 at most.
const PIXELS: (i64, i64) = (56 * 56, 28 * 28 * 1280);
/// Images longer than this many times their other side are refused.
const LONGEST: f64 = 200.0;

/// The image processor of a checkpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct Processor {
    resampling: Option<(Engine, Filter)>,
    /// Side of an image token, pixels: a multiple of it is every side of an image.
    token_side: i64,
    /// Least and most pixels of an image.
    pixels: (i64, i64),
    levels: Levels,
}

impl Processor {
    /// Reads the settings of a checkpoint folder for this tower.
    pub fn from_folder(folder: &Path, tower: &VisionConfig) -> Result<Self> {
        settings::processor(folder, |text| Self::parse(text, tower))
    }

    /// Reads the text of a `preprocessor_config.json`; keys left out take the class defaults.
    pub fn parse(text: &str, tower: &VisionConfig) -> Result<Self> {
        let (raw, _) = settings::parse_processor::<Raw>(text)?;
        raw.resolve(tower)
    }

    /// The multiple of an image token nearest to each side; where that makes too many or too few pixels, both sides are scaled
    /// alike (`smart_resize`).
    fn fitted(&self, height: usize, width: usize) -> Result<(i64, i64)> {
        let (side, (least, most)) = (self.token_side, self.pixels);
        let (height, width) = (height as f64, width as f64);
        if height.max(width) / height.min(width) > LONGEST {
            return Err(Error::Request(format!(
                "an image of {width} x {height} pixels is more than {LONGEST} times as long as wide, which this model cannot take"
            )));
        }
        let tokens = |length: f64| length / side as f64;
        let nearest = |length: f64| tokens(length).round_ties_even() as i64 * side;
        let fitted = match (nearest(height), nearest(width)) {
            (h, w) if h * w > most => {
                let shrink = (height * width / most as f64).sqrt();
                let below = |length: f64| (tokens(length / shrink).floor() as i64).max(1) * side;
                (below(height), below(width))
            }
            (h, w) if h * w < least => {
                let stretch = (least as f64 / (height * width)).sqrt();
                let above = |length: f64| tokens(length * stretch).ceil() as i64 * side;
                (above(height), above(width))
            }
            fitted => fitted,
        };
        if fitted.0 < side || fitted.1 < side {
            return Err(Error::Request(format!(
                "an image of {width} x {height} pixels makes no image token of {side} x {side}"
            )));
        }
        Ok(fitted)
    }
}

impl Pixels for Processor {
    fn size(&self, height: usize, width: usize) -> Result<(i64, i64)> {
        if self.resampling.is_some() {
            return self.fitted(height, width);
        }
        let side = self.token_side as usize;
        if !height.is_multiple_of(side) || !width.is_multiple_of(side) || height * width == 0 {
            return Err(Error::Request(format!(
                "this checkpoint does not resize its images, so their sides must be multiples of {side} pixels, not {width} x {height}"
            )));
        }
        Ok((height as i64, width as i64))
    }

    fn pixels(&self, image: ArrayView2<'_, u8>) -> Result<Tensor> {
        let (height, width) = self.size(image.nrows(), image.ncols())?;
        let grey = match self.resampling {
            Some((engine, filter)) => {
                engine.resize(image, height as usize, width as usize, filter)?
            }
            None => image.to_owned(),
        };
        self.levels.pixels(grey.view())
    }
}

/// The file as written.
#[derive(Deserialize)]
#[serde(default)]
struct Raw {
    image_processor_type: String,
    do_resize: Option<bool>,
    size: Option<Edges>,
    min_pixels: Option<i64>,
    max_pixels: Option<i64>,
    resample: Option<i64>,
    #[serde(flatten)]
    normalisation: Normalisation,
    patch_size: Option<i64>,
    temporal_patch_size: Option<i64>,
    merge_size: Option<i64>,
}

/// Called edges, these are numbers of pixels.
#[derive(Deserialize)]
struct Edges {
    shortest_edge: i64,
    longest_edge: i64,
}

impl Default for Raw {
    fn default() -> Self {
        Self {
            image_processor_type: "Qwen2VLImageProcessor".to_owned(),
            do_resize: None,
            size: None,
            min_pixels: None,
            max_pixels: None,
            resample: None,
            normalisation: Normalisation::default(),
            patch_size: None,
            temporal_patch_size: None,
            merge_size: None,
        }
    }
}

impl Raw {
    fn resolve(self, tower: &VisionConfig) -> Result<Processor> {
        let refuse = |reason: String| Err(Error::Config(reason));
        let engine = match self.image_processor_type.as_str() {
            "Qwen2VLImageProcessor" | "Qwen2VLImageProcessorFast" => Engine::Torchvision,
            "Qwen2VLImageProcessorPil" => Engine::Pillow,
            other => {
                return refuse(format!(
                    "image_processor_type {other:?} is not Qwen2VLImageProcessor, its Pil or its Fast form"
                ));
            }
        };
        let cut = [
            self.patch_size.unwrap_or(14),
            self.temporal_patch_size.unwrap_or(2),
            self.merge_size.unwrap_or(2),
        ];
        let taken = [
            tower.patch_size,
            tower.temporal_patch_size,
            tower.spatial_merge_size,
        ];
        if cut != taken {
            return refuse(format!(
                "it cuts patches of {cut:?} (side, frames, merged) where the image tower of config.json takes {taken:?}"
            ));
        }
        let edges = self
            .size
            .map_or(PIXELS, |size| (size.shortest_edge, size.longest_edge));
        let pixels = (
            self.min_pixels.unwrap_or(edges.0),
            self.max_pixels.unwrap_or(edges.1),
        );
        if pixels.0 < 1 || pixels.1 < pixels.0 {
            return refuse(format!(
                "an image cannot have at least {} and at most {} pixels",
                pixels.0, pixels.1
            ));
        }
        let filter = self.resample.map_or(Ok(Filter::Bicubic), filter)?;
        Ok(Processor {
            resampling: self.do_resize.unwrap_or(true).then_some((engine, filter)),
            token_side: tower.token_side(),
            pixels,
            levels: self.normalisation.levels(engine, MEAN, STD),
        })
    }
}
