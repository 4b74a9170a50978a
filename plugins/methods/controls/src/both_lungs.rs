//! The usual place of the lungs as evidence.

use medfocus_attribution::{Atlas, Once, WORKING_DIM, content};
use medfocus_plugin_api::{
    Attribution, AttributionMethod, Component, Context, Error, Kind, Mask, Result, ScoredBox, Slot,
    Task, params,
};
use ndarray::Array2;
use serde_json::{Map, json};

/// Names of the masks.
const LUNGS: [&str; 2] = ["left lung", "right lung"];

params! {
    /// Parameters of [`BothLungs`].
    pub struct BothLungsParams {
        /// Images of the pool that vote, from its first.
        pub references: u32 = 16, in 1..=10000;
    }
}

/// Blames both lungs where they usually are: the pixels of the working image that belong to a lung in more than half
/// of the first images of a reference pool.
///
/// Most findings lie in the lungs, and a method that always answers "both lungs" has localised nothing. The slot
/// `pool` holds a dataset whose samples bear masks `left lung` and `right lung`; it is read once, at the first task.
pub struct BothLungs {
    context: Context,
    params: BothLungsParams,
    atlas: Once<Atlas>,
}

impl Component for BothLungs {
    const NAME: &'static str = "both_lungs";
    const SUMMARY: &'static str = "Control: both lungs where reference images have them, whatever the question; asks no model.";
    const SLOTS: &'static [Slot] = &[Slot::required("pool", Kind::Dataset)];
    type Params = BothLungsParams;

    fn new(params: BothLungsParams, context: Context) -> Result<Self> {
        Ok(Self {
            context,
            params,
            atlas: Once::default(),
        })
    }
}

impl AttributionMethod for BothLungs {
    /// A box for each lung, clipped to the image, its score the references' agreement; and the lungs as a mask.
    /// Evidence: the number of `references` read.
    fn attribute(&self, task: &Task) -> Result<Attribution> {
        let image = content(task)?;
        let atlas = self.atlas.get(|| self.read())?;
        let mut boxes = Vec::new();
        let mut lungs = Array2::from_elem(WORKING_DIM, false);
        for name in LUNGS {
            let Some(region) = atlas.region(name) else {
                continue;
            };
            boxes.extend(region.bbox.intersection(&image).map(|bbox| ScoredBox {
                bbox,
                score: region.agreement,
                label: Some(name.to_owned()),
            }));
            for ((y, x), inside) in lungs.indexed_iter_mut() {
                *inside |= region.inside[(y, x)] && image.contains(x as u32, y as u32);
            }
        }
        let references = &atlas.references;
        let read = json!(references.read - references.skipped);
        Ok(Attribution {
            boxes: Some(boxes),
            mask: Some(Mask::from_array(lungs.view())?),
            evidence: Map::from_iter([("references".to_owned(), read)]),
            ..Attribution::default()
        })
    }
}

impl BothLungs {
    fn read(&self) -> Result<Atlas> {
        let references = u64::from(self.params.references);
        let atlas = Atlas::read(&self.context, "pool", &LUNGS, references)?;
        match LUNGS.iter().find(|name| atlas.region(name).is_none()) {
            None => Ok(atlas),
            Some(name) => Err(Error::invalid(format!(
                "the first {} samples of dataset `{}` in slot `pool` agree on no mask `{name}`",
                atlas.references.read, atlas.references.dataset
            ))
            .with_hint("fill the slot with a dataset of normal images whose lungs are segmented")),
        }
    }
}
