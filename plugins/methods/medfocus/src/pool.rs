//! The reference pool: normal chest images whose anatomy is known, as measures.

use medfocus_attribution::{CONCEPTS, WORKING_DIM, letterbox, mask_to_working, read_samples};
use medfocus_imaging::working;
use medfocus_plugin_api::{
    BBox, Context, Error, GrayImage, Result, Sample, SampleKey, WORKING_SIDE, Working,
};
use ndarray::Array2;

use crate::{
    align::Contrast,
    localise::Match,
    medfocus::MedFocusParams,
    transport::{Measure, Plan, Support, sample_mask},
};

/// The slot that holds the pool.
pub const SLOT: &str = "pool";

/// An image as the transport sees it.
#[derive(Clone, Debug)]
pub struct Features {
    /// On the grid of the selection (`selection_grid`).
    pub coarse: Measure,
    /// On the grid of the transfer.
    pub fine: Measure,
    /// The transport of `coarse` to itself.
    pub to_itself: Plan,
    /// Local contrast, what images are aligned by.
    pub contrast: Contrast,
}

impl Features {
    /// The features of a working image; `content` is where it is not padding.
    ///
    /// # Errors
    ///
    /// As [`Intensity::of`](crate::transport::Intensity::of) and [`Measure::of_image`].
    pub fn of(image: &GrayImage, content: &BBox<Working>, params: &MedFocusParams) -> Result<Self> {
        let levels = params.intensity.of(image, params.threshold)?;
        let support = Support {
            threshold: params.threshold,
            limit: params.support,
        };
        let on = |side| Measure::of_image(levels.view(), (side, side), params.sampling, &support);
        let coarse = on(params.selection_grid)?;
        Ok(Self {
            to_itself: params.selection().solve(&coarse, &coarse)?,
            fine: on(params.grid)?,
            contrast: Contrast::of(levels.view(), content),
            coarse,
        })
    }
}

/// A reference.
#[derive(Clone, Debug)]
pub struct Reference {
    /// Which sample it is.
    pub key: SampleKey,
    /// Its image.
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
    pub fn of(sample: &Sample, params: &MedFocusParams) -> Result<Self> {
        let named = |error: Error| {
            let SampleKey { dataset, index } = &sample.key;
            error.context(format_args!("sample {index} of {dataset}"))
        };
        let letterbox = letterbox(sample).map_err(named)?;
        let image = working::letterbox(sample.image.view(), WORKING_SIDE as usize);
        let image = GrayImage::from_array(image).map_err(named)?;
        let features = Features::of(&image, &letterbox.content(), params).map_err(named)?;
        let mut concepts = Array2::zeros(WORKING_DIM);
        let mut cells = [const { None }; CONCEPTS.len()];
        for (c, concept) in CONCEPTS.iter().enumerate() {
            let Some(mask) = sample.masks.get(*concept) else {
                continue;
            };
            let mask = mask_to_working(mask, &letterbox).map_err(named)?;
            let shares = sample_mask(mask.view(), (params.grid, params.grid), params.sampling);
            cells[c] = (shares.sum() > 0.0).then_some(shares);
            concepts.zip_mut_with(&mask, |bits, &inside| *bits |= u16::from(inside) << c);
        }
        Ok(Self {
            key: sample.key.clone(),
            features,
            concepts,
            cells,
        })
    }
}

/// The references.
#[derive(Clone, Debug)]
pub struct Pool {
    /// Those that bear a mask of at least one concept.
    pub references: Vec<Reference>,
}

/// Images less like every reference are doubted. Frontal chests reach 0.74 against references of their own kind and of
/// another (real ones against phantoms), however ill, displaced or exposed; hips, hands, noise, chests on their side,
/// upside down or inverted, and halves of chests stay below 0.67.
const ALIKE: f64 = 0.7;

/// How like the most similar of these references an image is, once they are aligned: the highest
/// [`Alignment::likeness`](crate::Alignment::likeness).
pub fn likeness(ranking: &[Match]) -> f64 {
    ranking
        .iter()
        .fold(-1.0, |best, next| best.max(next.alignment.likeness))
}

/// Why the regions found in an image of this likeness cannot be relied on; nothing if they can.
pub fn doubt(likeness: f64) -> Option<String> {
    (likeness < ALIKE).then(|| {
        format!(
            "unreliable: the image looks like no reference (correlation {likeness:.2} at best after alignment, a frontal chest reaches {ALIKE})"
        )
    })
}

impl Pool {
    /// The first samples of the dataset in the slot `pool`.
    ///
    /// # Errors
    ///
    /// As [`Reference::of`] and [`read_samples`]; [`Error::invalid`] if no sample has a mask of a concept.
    pub fn read(context: &Context, params: &MedFocusParams) -> Result<Self> {
        let mut references = Vec::new();
        let samples = read_samples(context, SLOT, u64::from(params.pool_size), |sample| {
            let reference = Reference::of(&sample, params)?;
            if reference.cells.iter().any(Option::is_some) {
                references.push(reference);
            }
            Ok(())
        })?;
        if references.is_empty() {
            return Err(Error::invalid(format!(
                "none of the first {} samples of dataset `{}` in slot `{SLOT}` has a mask of an anatomical concept",
                samples.read, samples.dataset
            ))
            .with_hint(format!(
                "fill the slot with normal images that have masks named as {}",
                CONCEPTS.map(|concept| format!("`{concept}`")).join(", ")
            )));
        }
        Ok(Self { references })
    }
}
