//! Grey images to the normalised pixels the tower was trained on.
//!
//! Two published processors exist and differ in their last bits; which one runs is decided, as in
//! transformers 4.57.3, by the `image_processor_type` of the checkpoint. `Gemma3ImageProcessor`
//! resizes with Pillow and normalises in two steps; `Gemma3ImageProcessorFast` resizes with
//! torchvision and normalises in one. Pixels are 8-bit, so either normalisation is a table of 256
//! numbers for each channel.

use std::path::Path;

use medfocus_imaging::resample::{Filter, resize};
use medfocus_lvlm::network::Pixels;
use medfocus_torch::settings;
use medfocus_torch::tch::{Device, Kind, Tensor};
use ndarray::{Array2, ArrayView2};
use serde::Deserialize;

use crate::{Error, Result};

/// The image processor of a checkpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct Processor {
    side: usize,
    resampling: Option<(Engine, Filter)>,
    /// The normalised value of each grey level, for each channel.
    levels: [[f32; 256]; 3],
}

/// Who resizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Engine {
    Pillow,
    Torchvision,
}

impl Processor {
    /// Reads the settings of a checkpoint folder for a tower that takes `side` x `side` pixels.
    pub fn from_folder(folder: &Path, side: i64) -> Result<Self> {
        settings::processor(folder, |text| Self::parse(text, side))
    }

    /// Reads the text of a `preprocessor_config.json`; keys left out take the class defaults.
    pub fn parse(text: &str, side: i64) -> Result<Self> {
        settings::parse_processor::<Raw>(text)?.resolve(side)
    }

    fn resized(&self, image: ArrayView2<'_, u8>) -> Result<Array2<u8>> {
        let size = (self.side, self.side);
        match self.resampling {
            Some(_) if image.dim() == size => Ok(image.to_owned()),
            Some((Engine::Pillow, filter)) => Ok(resize(image, self.side, self.side, filter)),
            Some((Engine::Torchvision, filter)) => torchvision_resize(image, self.side, filter),
            None if image.dim() == size => Ok(image.to_owned()),
            None => Err(Error::Request(format!(
                "this checkpoint does not resize its images, so they must be {} x {} pixels, not {} x {}",
                self.side,
                self.side,
                image.ncols(),
                image.nrows()
            ))),
        }
    }
}

impl Pixels for Processor {
    fn size(&self, _: usize, _: usize) -> Result<(i64, i64)> {
        let side = self.side as i64;
        Ok((side, side))
    }

    fn pixels(&self, image: ArrayView2<'_, u8>) -> Result<Tensor> {
        let grey = self.resized(image)?;
        let mut values: Vec<f32> = Vec::with_capacity(3 * grey.len());
        for table in &self.levels {
            values.extend(grey.iter().map(|&level| table[usize::from(level)]));
        }
        let side = self.side as i64;
        Ok(Tensor::f_from_slice(&values)?.f_reshape([3, side, side])?)
    }
}

/// libtorch's own antialiased resampler on bytes, which is what torchvision calls.
fn torchvision_resize(
    image: ArrayView2<'_, u8>,
    side: usize,
    filter: Filter,
) -> Result<Array2<u8>> {
    let (height, width) = image.dim();
    let bytes: Vec<u8> = image.iter().copied().collect();
    let grey = Tensor::f_from_data_size(&bytes, &[1, 1, height as i64, width as i64], Kind::Uint8)?;
    let size = [side as i64, side as i64];
    let resized = match filter {
        Filter::Bilinear => grey.f_internal_upsample_bilinear2d_aa(size, false, None, None)?,
        Filter::Bicubic => grey.f_internal_upsample_bicubic2d_aa(size, false, None, None)?,
    };
    debug_assert_eq!(resized.device(), Device::Cpu);
    let mut bytes = vec![0; side * side];
    resized
        .f_contiguous()?
        .f_copy_data(&mut bytes, side * side)?;
    Array2::from_shape_vec((side, side), bytes).map_err(|error| Error::Request(error.to_string()))
}

/// The file as written, with the defaults of the reference's classes.
#[derive(Deserialize)]
#[serde(default)]
struct Raw {
    image_processor_type: String,
    do_resize: Option<bool>,
    size: Option<Size>,
    resample: Option<i64>,
    do_rescale: Option<bool>,
    rescale_factor: Option<f64>,
    do_normalize: Option<bool>,
    image_mean: Option<Channels>,
    image_std: Option<Channels>,
    do_pan_and_scan: Option<bool>,
}

impl Default for Raw {
    fn default() -> Self {
        Self {
            image_processor_type: "Gemma3ImageProcessor".to_owned(),
            do_resize: None,
            size: None,
            resample: None,
            do_rescale: None,
            rescale_factor: None,
            do_normalize: None,
            image_mean: None,
            image_std: None,
            do_pan_and_scan: None,
        }
    }
}

#[derive(Deserialize, Clone, Copy)]
#[serde(untagged)]
enum Size {
    Both { height: i64, width: i64 },
    Square(i64),
}

#[derive(Deserialize, Clone)]
#[serde(untagged)]
enum Channels {
    Same(f64),
    Each([f64; 3]),
}

impl Channels {
    fn each(self) -> [f64; 3] {
        match self {
            Self::Same(value) => [value; 3],
            Self::Each(values) => values,
        }
    }
}

impl Raw {
    fn resolve(self, side: i64) -> Result<Processor> {
        let refuse = |reason: String| Err(Error::Config(reason));
        let engine = match self.image_processor_type.as_str() {
            // Transformers 5 gives the first a name of its own.
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
        let (height, width) = match self.size {
            None => (224, 224),
            Some(Size::Square(both)) => (both, both),
            Some(Size::Both { height, width }) => (height, width),
        };
        if (height, width) != (side, side) {
            return refuse(format!(
                "its size is {height} x {width} where the image tower of config.json takes {side} x {side}"
            ));
        }
        let filter = match self.resample {
            None | Some(2) => Filter::Bilinear,
            Some(3) => Filter::Bicubic,
            Some(other) => {
                return refuse(format!(
                    "resample {other} is not supported: 2 is bilinear, 3 bicubic"
                ));
            }
        };
        let half = Channels::Same(0.5);
        let scale = self
            .do_rescale
            .unwrap_or(true)
            .then(|| self.rescale_factor.unwrap_or(1.0 / 255.0));
        let mean = self.image_mean.unwrap_or(half.clone()).each();
        let std = self.image_std.unwrap_or(half).each();
        let normalise = self.do_normalize.unwrap_or(true);
        let table = |channel: usize| {
            let statistics = normalise.then_some((mean[channel], std[channel]));
            std::array::from_fn(|level| match engine {
                Engine::Pillow => two_steps(level as f64, scale, statistics),
                Engine::Torchvision => one_step(level as f32, scale, statistics),
            })
        };
        Ok(Processor {
            side: side as usize,
            resampling: self.do_resize.unwrap_or(true).then_some((engine, filter)),
            levels: std::array::from_fn(table),
        })
    }
}

/// Scale in f64, round to f32, then subtract and divide in f32.
fn two_steps(level: f64, scale: Option<f64>, statistics: Option<(f64, f64)>) -> f32 {
    let value = (level * scale.unwrap_or(1.0)) as f32;
    statistics.map_or(value, |(mean, std)| (value - mean as f32) / std as f32)
}

/// Subtract and divide once, in f32, by statistics that hold the scale already.
fn one_step(level: f32, scale: Option<f64>, statistics: Option<(f64, f64)>) -> f32 {
    match (scale, statistics) {
        (None, None) => level,
        (Some(scale), None) => level * scale as f32,
        (scale, Some((mean, std))) => {
            let stretch = scale.map_or(1.0, |scale| 1.0 / scale) as f32;
            (level - mean as f32 * stretch) / (std as f32 * stretch)
        }
    }
}
