//! The control that always answers "both lungs".

use medfocus_attribution::{Once, WORKING_DIM, content};
use medfocus_plugin_api::CONCEPTS;
use medfocus_plugin_api::{
    Attribution, AttributionMethod, Component, Context, Error, Kind, Mask, Result, ScoredBox, Slot,
    Task, params,
};
use ndarray::Array2;
use serde_json::{Map, json};

use crate::{
    localise::{Localisation, Transfer, localise},
    medfocus::MedFocusParams,
    pool::{self, Pool},
    reference::{Features, Looks},
    reliability::{doubt, likeness},
    transport::Intensity,
};

params! {
    /// Parameters of [`BothLungs`], with the meaning they have in [`MedFocusParams`].
    pub struct BothLungsParams {
        /// Images of the pool to read, from its first.
        pub pool_size: u32 = 16, in 1..=10000;
        /// What is made of grey levels before images are compared.
        pub intensity: Intensity = "equalised";
        /// How a reference's masks are carried over.
        pub transfer: Transfer = "aligned";
        /// References that vote, the first of the ranking.
        pub references: u32 = 5, in 1..=10000;
    }
}

/// Blames both lungs, found by the transport that MedFocus finds them by; all parameters it has not are MedFocus's
/// defaults.
///
/// Most findings lie in the lungs, and a method that always answers "both lungs" has explained nothing. The slot
/// `pool` holds a dataset whose samples bear masks `left lung` and `right lung`; it is read once, at the first task.
pub struct BothLungs {
    context: Context,
    pool_size: u32,
    looks: Looks,
    how: Localisation,
    pool: Once<Pool>,
}

impl Component for BothLungs {
    const NAME: &'static str = "both_lungs";
    const SUMMARY: &'static str = "Control: both lungs by optimal transport from reference images, whatever the question; asks no model.";
    const SLOTS: &'static [Slot] = &[Slot::required(pool::SLOT, Kind::Dataset)];
    type Params = BothLungsParams;

    fn new(params: BothLungsParams, context: Context) -> Result<Self> {
        let ours = MedFocusParams::default();
        Ok(Self {
            context,
            pool_size: params.pool_size,
            looks: Looks {
                intensity: params.intensity,
                ..ours.looks()
            },
            how: Localisation {
                transfer: params.transfer,
                references: params.references as usize,
                ..ours.localisation()
            },
            pool: Once::default(),
        })
    }
}

/// Names of the masks.
const LUNGS: [&str; 2] = ["left lung", "right lung"];

impl AttributionMethod for BothLungs {
    /// A box for each lung and the lungs as a mask. Evidence: `references`, the indices of those that voted, and whether
    /// the result is `reliable`, as [`MedFocus`](crate::MedFocus) has it.
    fn attribute(&self, task: &Task) -> Result<Attribution> {
        let image = content(task)?;
        let pool = self.pool.get(|| self.read())?;
        let features = Features::of(&task.image, &image, &self.looks)?;
        let anatomy = localise(&features, &image, pool, task.sample.as_ref(), &self.how)?;
        let mut boxes = Vec::new();
        let mut lungs = Array2::from_elem(WORKING_DIM, false);
        for (name, region) in CONCEPTS.iter().zip(&anatomy.regions) {
            let Some(region) = region.as_ref().filter(|_| LUNGS.contains(name)) else {
                continue;
            };
            boxes.push(ScoredBox {
                bbox: region.bbox,
                score: 1.0,
                label: Some((*name).to_owned()),
            });
            lungs.zip_mut_with(&region.inside, |lungs, inside| *lungs |= inside);
        }
        let voters = anatomy.ranking.iter().take(self.how.references);
        let voters: Vec<_> = voters
            .map(|voter| pool.references[voter.reference].key.index)
            .collect();
        let doubt = doubt(likeness(&anatomy.ranking));
        Ok(Attribution {
            boxes: Some(boxes),
            mask: Some(Mask::from_array(lungs.view())?),
            evidence: Map::from_iter([
                ("references".to_owned(), json!(voters)),
                ("reliable".to_owned(), json!(doubt.is_none())),
            ]),
            warnings: Vec::from_iter(doubt),
            ..Attribution::default()
        })
    }
}

impl BothLungs {
    fn read(&self) -> Result<Pool> {
        let pool = Pool::read(&self.context, self.pool_size, &self.looks)?;
        for (name, c) in CONCEPTS.iter().zip(0..) {
            let shown = |r: &crate::Reference| r.cells[c].is_some();
            if LUNGS.contains(name) && !pool.references.iter().any(shown) {
                return Err(Error::invalid(format!(
                    "no reference of slot `{}` has a mask `{name}`",
                    pool::SLOT
                ))
                .with_hint(
                    "fill the slot with a dataset of normal images whose lungs are segmented",
                ));
            }
        }
        Ok(pool)
    }
}
