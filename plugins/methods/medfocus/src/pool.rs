//! The reference pool: normal chest images whose anatomy is known.

use medfocus_attribution::read_samples;
use medfocus_plugin_api::CONCEPTS;
use medfocus_plugin_api::{Context, Error, Result};

use crate::reference::{Looks, Reference};

/// The slot that holds the pool.
pub const SLOT: &str = "pool";

/// The references.
#[derive(Clone, Debug)]
pub struct Pool {
    /// Those that bear a mask of at least one concept.
    pub references: Vec<Reference>,
}

impl Pool {
    /// The first `size` samples of the dataset in the slot `pool`.
    ///
    /// # Errors
    ///
    /// As [`Reference::of`] and [`read_samples`]; [`Error::invalid`] if no sample has a mask of a concept.
    pub fn read(context: &Context, size: u32, looks: &Looks) -> Result<Self> {
        let mut references = Vec::new();
        let samples = read_samples(context, SLOT, u64::from(size), |sample| {
            let reference = Reference::of(&sample, looks)?;
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
