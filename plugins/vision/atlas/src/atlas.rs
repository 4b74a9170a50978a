//! Finds anatomy where reference images have it.

use medfocus_attribution::{Atlas, Once};
use medfocus_plugin_api::CONCEPTS;
use medfocus_plugin_api::{
    Component, Context, DetectRequest, Detector, Kind, Result, ScoredBox, Slot, params,
};

use crate::vocabulary::members;

params! {
    /// Parameters of [`AtlasDetector`].
    pub struct AtlasParams {
        /// Images of the pool that vote, from its first.
        pub references: u32 = 16, in 1..=10000;
    }
}

/// An anatomical atlas in place of an open-vocabulary detector.
///
/// It NEVER LOOKS AT THE IMAGE and knows no words but the names of the eleven anatomical concepts and their pairs
/// ([`members`]). Each concept is where more than half of the first images of a reference pool have it, in the working
/// frame; a pair is both of its members. The score is the references' agreement, which says nothing about the image. A
/// phrase that names nothing it knows has no box.
///
/// The slot `pool` holds a dataset whose samples bear masks of the concepts' names; it is read once, at the first
/// request.
pub struct AtlasDetector {
    context: Context,
    params: AtlasParams,
    atlas: Once<Atlas>,
}

impl Component for AtlasDetector {
    const NAME: &'static str = "atlas";
    const SUMMARY: &'static str = "Stand-in for a detector: anatomy by its name where reference images have it; never looks at the image.";
    const SLOTS: &'static [Slot] = &[Slot::required("pool", Kind::Dataset)];
    type Params = AtlasParams;

    fn new(params: AtlasParams, context: Context) -> Result<Self> {
        Ok(Self {
            context,
            params,
            atlas: Once::default(),
        })
    }
}

impl Detector for AtlasDetector {
    fn detect(&self, request: &DetectRequest) -> Result<Vec<Vec<ScoredBox>>> {
        let references = u64::from(self.params.references);
        let atlas = self
            .atlas
            .get(|| Atlas::read(&self.context, "pool", &CONCEPTS, references))?;
        let find = |phrase: &String| {
            let regions = members(phrase).into_iter().filter_map(|c| atlas.region(c));
            let mut found: Vec<_> = regions
                .filter(|region| region.agreement >= request.threshold)
                .map(|region| ScoredBox {
                    bbox: region.bbox,
                    score: region.agreement,
                    label: Some(phrase.clone()),
                })
                .collect();
            found.sort_by(|a, b| b.score.total_cmp(&a.score));
            found.truncate(request.limit as usize);
            found
        };
        Ok(request.phrases.iter().map(find).collect())
    }
}
