//! The reference pool: normal chest images whose anatomy is known, as measures.

use medfocus_attribution::{CONCEPTS, WORKING_DIM, letterbox, mask_to_working, read_samples};
use medfocus_imaging::working;
use medfocus_plugin_api::{Context, Error, GrayImage, Result, Sample, SampleKey, WORKING_SIDE};
use ndarray::Array2;

use crate::{
    localise::{Match, rank},
    medfocus::MedFocusParams,
    transport::{Measure, Support, sample_mask},
};

/// The slot that holds the pool.
pub const SLOT: &str = "pool";

/// An image as the transport sees it.
#[derive(Clone, Debug)]
pub struct Features {
    /// On the grid of the selection.
    pub coarse: Measure,
    /// On the grid of the transfer.
    pub fine: Measure,
    /// The mass of a transport of `coarse` to itself: no other image receives much more.
    pub to_itself: f64,
}

impl Features {
    /// The features of a working image.
    ///
    /// # Errors
    ///
    /// As [`Measure::of_image`].
    pub fn of(image: &GrayImage, params: &MedFocusParams) -> Result<Self> {
        let support = Support {
            threshold: params.threshold,
            limit: params.support,
        };
        let on = |side| Measure::of_image(image, (side, side), params.sampling, &support);
        let coarse = on(params.selection_grid)?;
        Ok(Self {
            to_itself: params.selection().solve(&coarse, &coarse)?.mass(),
            fine: on(params.grid)?,
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
        let letterbox = letterbox(sample)?;
        let image = working::letterbox(sample.image.view(), WORKING_SIDE as usize);
        let features = Features::of(&GrayImage::from_array(image)?, params).map_err(named)?;
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

/// References, and how alike they are.
#[derive(Clone, Debug)]
pub struct Pool {
    /// Those that bear a mask of at least one concept.
    pub references: Vec<Reference>,
    /// Of each reference's likeness to the others the worst; nothing of a single one.
    pub spread: Option<Likeness>,
}

/// How like a reference an image is, at best.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Likeness {
    /// The least [`Match::excess`].
    pub excess: f64,
    /// The highest [`Match::correlation`].
    pub correlation: f64,
}

impl Likeness {
    /// The likeness to the best of these.
    pub fn of(ranking: &[Match]) -> Self {
        let nothing = Self {
            excess: f64::INFINITY,
            correlation: -1.0,
        };
        ranking.iter().fold(nothing, |best, next| Self {
            excess: best.excess.min(next.excess),
            correlation: best.correlation.max(next.correlation),
        })
    }
}

/// So many references at most are compared with the others to learn the pool's spread.
const COMPARED: usize = 64;

/// An image that is this many times as far from the pool as any reference from the others is doubted: hands and hips
/// are, frontal chests only if they are far out of place or of another scanner than the whole pool.
const FAR: f64 = 5.0;

/// So is one whose correlation is this much lower: noise and chests on their side are spread out as evenly as a chest.
const UNCORRELATED: f64 = 0.2;

impl Pool {
    /// A pool of these.
    ///
    /// # Errors
    ///
    /// As [`rank`].
    pub fn new(references: Vec<Reference>, params: &MedFocusParams) -> Result<Self> {
        let mut spread: Option<Likeness> = None;
        for reference in references
            .iter()
            .take(COMPARED)
            .filter(|_| references.len() > 1)
        {
            let (features, own) = (&reference.features, Some(&reference.key));
            let here = Likeness::of(&rank(features, &references, own, params)?);
            spread = Some(spread.map_or(here, |worst| Likeness {
                excess: worst.excess.max(here.excess),
                correlation: worst.correlation.min(here.correlation),
            }));
        }
        Ok(Self { references, spread })
    }

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
        Self::new(references, params)
    }

    /// Why the regions found in an image of this likeness cannot be relied on; nothing if they can.
    pub fn doubts(&self, image: &Likeness) -> Vec<String> {
        let Some(spread) = &self.spread else {
            return Vec::new();
        };
        let mut doubts = Vec::new();
        if image.excess > FAR * spread.excess.max(0.0) {
            doubts.push(format!(
                "unreliable: the image is unlike every reference (transport leaves {:.4} of the mass behind, between references at most {:.4})",
                image.excess, spread.excess
            ));
        }
        if image.correlation < spread.correlation - UNCORRELATED {
            doubts.push(format!(
                "unreliable: the image resembles no reference (correlation {:.2}, between references at least {:.2})",
                image.correlation, spread.correlation
            ));
        }
        doubts
    }
}
