//! Where anatomical concepts usually lie: the majority vote of reference images.

use std::collections::BTreeMap;

use medfocus_plugin_api::{BBox, Context, Mask, Result, Working};
use ndarray::Array2;

use crate::{
    region::{WORKING_DIM, letterbox, mask_to_working},
    samples::{Samples, read_samples},
};

/// The usual regions of concepts in the working image.
#[derive(Clone, Debug)]
pub struct Atlas {
    /// The references they come from.
    pub references: Samples,
    regions: BTreeMap<String, Region>,
}

/// Where a concept usually lies; never empty.
#[derive(Clone, Debug, PartialEq)]
pub struct Region {
    /// The pixels that belong to the concept in more than half of the references that show it.
    pub inside: Array2<bool>,
    /// The smallest box that holds them.
    pub bbox: BBox<Working>,
    /// The share of those references that hold a pixel of the region, on average over its pixels: above 1/2 to 1.
    pub agreement: f64,
}

impl Atlas {
    /// Reads the first `references` samples of the dataset in `slot`, whose masks bear the concepts' names, and lays
    /// them on top of each other in the working image.
    ///
    /// # Errors
    ///
    /// As [`read_samples`]; and [`Error::invalid`](medfocus_plugin_api::Error::invalid) naming a sample whose mask has
    /// not its image's size.
    pub fn read(context: &Context, slot: &str, concepts: &[&str], references: u64) -> Result<Self> {
        let mut votes: BTreeMap<&str, Votes> = BTreeMap::new();
        let references = read_samples(context, slot, references, |sample| {
            let letterbox = letterbox(&sample)?;
            for &concept in concepts {
                if let Some(mask) = sample.masks.get(concept) {
                    let inside = mask_to_working(mask, &letterbox).map_err(|error| {
                        let (index, dataset) = (sample.key.index, &sample.key.dataset);
                        error.context(format_args!("`{concept}` of sample {index} of {dataset}"))
                    })?;
                    votes.entry(concept).or_default().add(&inside);
                }
            }
            Ok(())
        })?;
        let regions = votes
            .into_iter()
            .filter_map(|(concept, votes)| Some((concept.to_owned(), votes.majority()?)))
            .collect();
        Ok(Self {
            references,
            regions,
        })
    }

    /// Where the concept usually lies; nothing if no reference shows it or they agree on no pixel.
    pub fn region(&self, concept: &str) -> Option<&Region> {
        self.regions.get(concept)
    }
}

struct Votes {
    counts: Array2<u32>,
    voters: u32,
}

impl Default for Votes {
    fn default() -> Self {
        Self {
            counts: Array2::zeros(WORKING_DIM),
            voters: 0,
        }
    }
}

impl Votes {
    fn add(&mut self, inside: &Array2<bool>) {
        self.voters += 1;
        self.counts
            .zip_mut_with(inside, |count, &inside| *count += u32::from(inside));
    }

    fn majority(&self) -> Option<Region> {
        let inside = self.counts.mapv(|count| 2 * count > self.voters);
        let bbox = Mask::from_array(inside.view()).ok()?.tight_box()?;
        let members = self.counts.iter().filter(|&&count| 2 * count > self.voters);
        let (sum, pixels) = members.fold((0u64, 0u64), |(sum, n), &c| (sum + u64::from(c), n + 1));
        Some(Region {
            inside,
            bbox,
            agreement: sum as f64 / (pixels as f64 * f64::from(self.voters)),
        })
    }
}
