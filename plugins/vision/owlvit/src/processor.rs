//! Grey images to what the network takes, as `OwlViTImageProcessor` of transformers 4.57.3 does it: squashed to a
//! square with Pillow's resampling, then normalised by CLIP's statistics.

use std::path::Path;

use medfocus_torch::pixels::{self, Engine, Filter, Levels, Normalisation, Size};
use medfocus_torch::settings;
use medfocus_torch::tch::Tensor;
use ndarray::ArrayView2;
use serde::Deserialize;

use crate::{Error, Result};

/// CLIP's mean and standard deviation of each channel.
const MEAN: [f64; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
const STD: [f64; 3] = [0.268_629_54, 0.261_302_58, 0.275_777_11];

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

    /// Pixels `[3, side, side]`, f32, of a grey image.
    pub fn pixels(&self, image: ArrayView2<'_, u8>) -> Result<Tensor> {
        let grey = Engine::Pillow.resize(image, self.side, self.side, self.filter)?;
        self.levels.pixels(grey.view())
    }
}

/// The file as written; the oldest name a feature extractor.
#[derive(Deserialize)]
#[serde(default)]
struct Raw {
    image_processor_type: Option<String>,
    feature_extractor_type: Option<String>,
    do_resize: bool,
    size: Size,
    resample: i64,
    do_center_crop: bool,
    /// What early files call `do_rescale`.
    rescale: Option<bool>,
    #[serde(flatten)]
    normalisation: Normalisation,
}

impl Default for Raw {
    fn default() -> Self {
        Self {
            image_processor_type: None,
            feature_extractor_type: None,
            do_resize: true,
            size: Size::Square(768),
            resample: 3,
            do_center_crop: false,
            rescale: None,
            normalisation: Normalisation::default(),
        }
    }
}

impl Raw {
    fn resolve(self, side: i64) -> Result<Processor> {
        let refuse = |reason: String| Err(Error::Config(reason));
        let name = self.image_processor_type.or(self.feature_extractor_type);
        if let Some(name) = name
            && !["OwlViTImageProcessor", "OwlViTFeatureExtractor"].contains(&name.as_str())
        {
            return refuse(format!(
                "image_processor_type {name:?} is not OwlViTImageProcessor"
            ));
        }
        if !self.do_resize || self.do_center_crop {
            return refuse(
                "do_resize must be true and do_center_crop false, since the network takes whole images of one size"
                    .to_owned(),
            );
        }
        if self.rescale == Some(false) {
            return refuse("rescale is false, which is not supported".to_owned());
        }
        self.size.check(side)?;
        Ok(Processor {
            side: side as usize,
            filter: pixels::filter(self.resample)?,
            levels: self.normalisation.levels(Engine::Pillow, MEAN, STD),
        })
    }
}
