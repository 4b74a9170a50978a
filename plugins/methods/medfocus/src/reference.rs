//! Images as they are compared, and references: images whose anatomy is known.

use medfocus_attribution::{WORKING_DIM, letterbox, mask_to_working};
use medfocus_imaging::working;
use medfocus_plugin_api::CONCEPTS;
use medfocus_plugin_api::{
    BBox, Error, GrayImage, Result, Sample, SampleKey, WORKING_SIDE, Working,
};
use ndarray::Array2;

use crate::{
    align::Contrast,
    transport::{Intensity, Measure, Sampling, Support, sample_mask},
};

/// How images are looked at before they are compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Looks {
    /// What is made of grey levels.
    pub intensity: Intensity,
    /// How pixels become cells.
    pub sampling: Sampling,
    /// Which cells carry mass.
    pub support: Support,
    /// Cells along each side of the grid of the selection.
    pub coarse: usize,
    /// Cells along each side of the grid of the transfer.
    pub fine: usize,
}

/// An image as the transport sees it.
#[derive(Clone, Debug)]
pub struct Features {
    /// On the grid of the selection.
    pub coarse: Measure,
    /// On the grid of the transfer.
    pub fine: Measure,
    /// Local contrast, what images are aligned by.
    pub contrast: Contrast,
}

impl Features {
    /// The features of a working image; `content` is where it is not padding.
    ///
    /// # Errors
    ///
    /// As [`Intensity::of`](crate::transport::Intensity::of) and [`Measure::of_image`].
    pub fn of(image: &GrayImage, content: &BBox<Working>, looks: &Looks) -> Result<Self> {
        let levels = looks.intensity.of(image, looks.support.threshold)?;
        let on = |side| {
            let dim = (side, side);
            Measure::of_image(levels.view(), dim, looks.sampling, &looks.support)
        };
        Ok(Self {
            coarse: on(looks.coarse)?,
            fine: on(looks.fine)?,
            contrast: Contrast::of(levels.view(), content),
        })
    }
}

/// A reference.
#[derive(Clone, Debug)]
pub struct Reference {
    /// Which sample it is.
    pub key: SampleKey,
    /// Its working image.
    pub image: GrayImage,
    /// What it is compared by.
    pub features: Features,
    /// The pixels of each concept in [`CONCEPTS`]: bit c of a pixel says whether concept c covers it.
    pub concepts: Array2<u16>,
    /// The same on the grid of the transfer, as shares of cells; nothing of a concept that it does not show.
    pub cells: [Option<Array2<f64>>; CONCEPTS.len()],
}

impl Reference {
    /// A sample as a reference.
    ///
    /// # Errors
    ///
    /// [`Error::invalid`] naming the sample, if its image has one grey level or a mask has another size.
    pub fn of(sample: &Sample, looks: &Looks) -> Result<Self> {
        let named = |error: Error| {
            let SampleKey { dataset, index } = &sample.key;
            error.context(format_args!("sample {index} of {dataset}"))
        };
        let letterbox = letterbox(sample).map_err(named)?;
        let image = working::letterbox(sample.image.view(), WORKING_SIDE);
        let image = GrayImage::from_array(image).map_err(named)?;
        let features = Features::of(&image, &letterbox.content(), looks).map_err(named)?;
        let mut concepts = Array2::zeros(WORKING_DIM);
        let mut cells = [const { None }; CONCEPTS.len()];
        for (c, concept) in CONCEPTS.iter().enumerate() {
            let Some(mask) = sample.masks.get(*concept) else {
                continue;
            };
            let mask = mask_to_working(mask, &letterbox).map_err(named)?;
            let shares = sample_mask(mask.view(), (looks.fine, looks.fine), looks.sampling);
            cells[c] = (shares.sum() > 0.0).then_some(shares);
            concepts.zip_mut_with(&mask, |bits, &inside| *bits |= u16::from(inside) << c);
        }
        Ok(Self {
            key: sample.key.clone(),
            image,
            features,
            concepts,
            cells,
        })
    }
}
