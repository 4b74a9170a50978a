//! Grey images to the normalised pixels of a network, as published image processors make them.
//!
//! Pixels are 8-bit, so a normalisation is a table of 256 numbers for each channel. Transformers has two kinds of
//! processors, which differ in how they resize and in the last bits of the tables: the [`Engine`] says which.

use medfocus_imaging::resample::resize;
use ndarray::{Array2, ArrayView2};
use serde::Deserialize;
use tch::{Kind, Tensor};

use crate::{Error, Result};

pub use medfocus_imaging::resample::Filter;

/// What a processor computes with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// The slow processors: Pillow resizes, numpy normalises in two steps.
    Pillow,
    /// The fast ones (`...Fast`): torchvision resizes and normalises in one step.
    Torchvision,
}

impl Engine {
    /// An image resampled to `height` x `width`; unchanged if it has that size.
    pub fn resize(
        self,
        image: ArrayView2<'_, u8>,
        height: usize,
        width: usize,
        filter: Filter,
    ) -> Result<Array2<u8>> {
        if image.dim() == (height, width) {
            return Ok(image.to_owned());
        }
        match self {
            Self::Pillow => Ok(resize(image, height, width, filter)),
            Self::Torchvision => antialiased(image, height, width, filter),
        }
    }
}

/// libtorch's own antialiased resampler on bytes of the CPU, which is what torchvision calls.
fn antialiased(
    image: ArrayView2<'_, u8>,
    height: usize,
    width: usize,
    filter: Filter,
) -> Result<Array2<u8>> {
    let bytes: Vec<u8> = image.iter().copied().collect();
    let (rows, columns) = image.dim();
    let grey = Tensor::f_from_data_size(&bytes, &[1, 1, rows as i64, columns as i64], Kind::Uint8)?;
    let size = [height as i64, width as i64];
    let resized = match filter {
        Filter::Bilinear => grey.f_internal_upsample_bilinear2d_aa(size, false, None, None)?,
        Filter::Bicubic => grey.f_internal_upsample_bicubic2d_aa(size, false, None, None)?,
    };
    let mut bytes = vec![0; height * width];
    resized
        .f_contiguous()?
        .f_copy_data(&mut bytes, height * width)?;
    Array2::from_shape_vec((height, width), bytes)
        .map_err(|error| Error::Request(error.to_string()))
}

/// The filter that Pillow and `resample` know by a number.
pub fn filter(resample: i64) -> Result<Filter> {
    match resample {
        2 => Ok(Filter::Bilinear),
        3 => Ok(Filter::Bicubic),
        other => Err(Error::Config(format!(
            "resample {other} is not supported: 2 is bilinear, 3 bicubic"
        ))),
    }
}

/// `size` of a processor that takes images of one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Size {
    /// By name.
    Named {
        /// Rows.
        height: i64,
        /// Columns.
        width: i64,
    },
    /// Rows and columns.
    Pair([i64; 2]),
    /// As many rows as columns.
    Square(i64),
}

impl Size {
    /// Refuses every size but that of the network, `side` x `side`.
    pub fn check(self, side: i64) -> Result<()> {
        let (height, width) = match self {
            Self::Named { height, width } | Self::Pair([height, width]) => (height, width),
            Self::Square(both) => (both, both),
        };
        if (height, width) != (side, side) {
            return Err(Error::Config(format!(
                "its size is {height} x {width} where the image tower of config.json takes {side} x {side}"
            )));
        }
        Ok(())
    }
}

/// The settings of a processor that scale and normalise; those left out follow its class.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Normalisation {
    do_rescale: Option<bool>,
    rescale_factor: Option<f64>,
    do_normalize: Option<bool>,
    image_mean: Option<Channels>,
    image_std: Option<Channels>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
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

impl Normalisation {
    /// The tables, with these statistics where the file has none.
    pub fn levels(&self, engine: Engine, mean: [f64; 3], std: [f64; 3]) -> Levels {
        let scale = self
            .do_rescale
            .unwrap_or(true)
            .then(|| self.rescale_factor.unwrap_or(1.0 / 255.0));
        let mean = self.image_mean.map_or(mean, Channels::each);
        let std = self.image_std.map_or(std, Channels::each);
        let normalise = self.do_normalize.unwrap_or(true);
        let table = |channel: usize| {
            let statistics = normalise.then_some((mean[channel], std[channel]));
            std::array::from_fn(|level| match engine {
                Engine::Pillow => two_steps(level as f64, scale, statistics),
                Engine::Torchvision => one_step(level as f32, scale, statistics),
            })
        };
        Levels(std::array::from_fn(table))
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

/// The value of each grey level, for each channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Levels([[f32; 256]; 3]);

impl Levels {
    /// Pixels `[3, height, width]`, f32, of a grey image.
    pub fn pixels(&self, grey: ArrayView2<'_, u8>) -> Result<Tensor> {
        let mut values: Vec<f32> = Vec::with_capacity(3 * grey.len());
        for table in &self.0 {
            values.extend(grey.iter().map(|&level| table[usize::from(level)]));
        }
        let (height, width) = grey.dim();
        Ok(Tensor::f_from_slice(&values)?.f_reshape([3, height as i64, width as i64])?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn levels(settings: serde_json::Value, engine: Engine) -> Levels {
        let settings: Normalisation = serde_json::from_value(settings).unwrap();
        settings.levels(engine, [0.5; 3], [0.25; 3])
    }

    #[test]
    fn each_engine_normalises_by_what_the_file_says_or_else_the_class() {
        for engine in [Engine::Pillow, Engine::Torchvision] {
            let Levels([red, ..]) = levels(json!({}), engine);
            assert!((red[0] + 2.0).abs() < 1e-6 && (red[255] - 2.0).abs() < 1e-6);
            let Levels([_, green, _]) = levels(json!({"image_mean": [0.5, 1.0, 0.5]}), engine);
            assert!(green[255].abs() < 1e-6);
            let plain = json!({"do_normalize": false, "do_rescale": false});
            assert_eq!(levels(plain, engine).0[2][7], 7.0);
            let halved = json!({"do_normalize": false, "rescale_factor": 0.5});
            assert_eq!(levels(halved, engine).0[0][8], 4.0);
        }
    }

    #[test]
    fn pixels_stand_channel_by_channel_row_by_row() {
        let plain = json!({"do_rescale": false, "image_mean": [0.0, 1.0, 2.0], "image_std": 1.0});
        let grey = ndarray::array![[3, 4, 5], [6, 7, 8]];
        let pixels = levels(plain, Engine::Pillow).pixels(grey.view()).unwrap();
        assert_eq!(pixels.size(), [3, 2, 3]);
        assert_eq!(pixels.double_value(&[0, 0, 1]), 4.0);
        assert_eq!(pixels.double_value(&[2, 1, 0]), 4.0);
    }

    #[test]
    fn sizes_are_read_in_every_spelling() {
        for size in [json!({"height": 7, "width": 7}), json!([7, 7]), json!(7)] {
            let size: Size = serde_json::from_value(size).unwrap();
            size.check(7).unwrap();
            assert!(size.check(8).unwrap_err().to_string().contains("7 x 7"));
        }
        assert!(filter(1).unwrap_err().to_string().contains("resample 1"));
    }

    #[test]
    fn both_engines_resize_to_any_shape_and_leave_the_right_one_alone() {
        let image = Array2::from_shape_fn((6, 5), |(y, x)| (y * 40 + x * 3) as u8);
        for engine in [Engine::Pillow, Engine::Torchvision] {
            let same = engine.resize(image.view(), 6, 5, Filter::Bicubic).unwrap();
            assert_eq!(same, image);
            let other = engine.resize(image.view(), 3, 9, Filter::Bicubic).unwrap();
            assert_eq!(other.dim(), (3, 9));
            let flat = Array2::from_elem((6, 5), 99);
            let flat = engine.resize(flat.view(), 3, 9, Filter::Bilinear).unwrap();
            assert!(flat.iter().all(|&level| level == 99));
        }
    }
}
