//! What each concept is worth to the answer, given that others may stand in for it.

use medfocus_attribution::{Aim, Quantity, Scorer, content, normalised};
use medfocus_plugin_api::{
    Ability, Attribution, AttributionMethod, CONCEPTS, Component, Context, Kind, Mask, Result,
    ScoredBox, Slot, Task,
};
use serde_json::{Map, json};

use crate::{
    intervention::{paint, replaced},
    medfocus::{MedFocus, MedFocusParams},
    pool,
    reliability::{doubt, likeness},
    replacement::{self, Editing, Source},
    shapley::Orders,
    shared::params_with_interventions,
};

params_with_interventions! {
    /// Parameters of [`ConceptShapley`]; how concepts are found are MedFocus' defaults.
    pub struct ConceptShapleyParams {
        /// Random orders in which the concepts come in; 0 for all, which scores every subset: 2048 images of eleven concepts.
        pub orders: u32 = 25, in 0..=10000;
        /// What is explained.
        pub target: Quantity = "log_prob";
    }
}

/// Shapley values of the concepts that MedFocus finds.
///
/// With v(S) the target on the image in which every pixel of a concept outside S is replaced, also where one of S lies,
/// phi_c = sum over S without c of |S|! (n - |S| - 1)! / n! (v(S + c) - v(S)), exactly or from random orders. MedFocus' Delta is
/// v(all) - v(all - c), what c is worth as the last to come: 0 for either of two concepts that say the same.
pub struct ConceptShapley {
    context: Context,
    params: ConceptShapleyParams,
    aim: Aim,
    medfocus: MedFocus,
}

impl Component for ConceptShapley {
    const NAME: &'static str = "concept_shapley";
    const SUMMARY: &'static str = "Shapley values of MedFocus' concepts: what each is worth where others may stand in for it.";
    const SLOTS: &'static [Slot] = &[
        Slot::model(&[Ability::Score]),
        Slot::required(pool::SLOT, Kind::Dataset),
        Slot::optional("segmenter", Kind::Segmenter),
        Slot::optional(replacement::SLOT, Kind::Editor),
    ];
    type Params = ConceptShapleyParams;

    fn new(params: ConceptShapleyParams, context: Context) -> Result<Self> {
        params.replacement.check(&context)?;
        Ok(Self {
            aim: Aim::new(params.target, params.answer_span, &params.tokens)?,
            medfocus: MedFocus::new(MedFocusParams::default(), context.clone())?,
            context,
            params,
        })
    }
}

impl AttributionMethod for ConceptShapley {
    /// Box and mask: the concept of the highest value; none if no value is above 0. Heat: each value painted on its concept,
    /// the highest on top. Evidence: `concepts`, each with its value as `delta`, `last_in` v(all) - v(all - c), `first_in`
    /// v(c) - v(none) and `boxes`; `winner`; `all` and `none`, the target with every concept and without any; `reliable`;
    /// `images_scored`.
    fn attribute(&self, task: &Task) -> Result<Attribution> {
        let content = content(task)?;
        let (_, anatomy, _) = self.medfocus.anatomy(task, &content)?;
        let there = CONCEPTS.iter().zip(&anatomy.regions);
        let there: Vec<_> = there
            .filter_map(|(name, region)| Some((*name, region.as_ref()?)))
            .collect();
        let orders = Orders::new(there.len(), self.params.orders, task.seed);
        let groups = orders.groups();
        let dim = task.image.view().dim();
        let editing = Editing {
            replacement: self.params.replacement,
            intervention: self.params.intervention,
            prompt: &self.params.prompt,
        };
        let source = Source::new(&editing, &self.context, task, &content)?;
        let scorer = Scorer {
            context: &self.context,
            task,
            target: &self.aim.of(task)?,
            batch: self.params.batch,
        };
        let scored = scorer.score(groups.len(), |i| {
            let absent = there.iter().enumerate();
            let absent = absent.filter(|(c, _)| groups[i] >> c & 1 == 0);
            let absent: Vec<_> = absent.map(|(_, (_, region))| *region).collect();
            if absent.is_empty() {
                return Ok(task.image.clone());
            }
            let pixels = self.params.intervention.pixels(dim, absent.iter().copied());
            let by = source.image(absent.into_iter(), &pixels)?;
            replaced(&task.image, &by, &pixels)
        })?;
        // The groups are sorted, and every one that is asked for is among them.
        let value = |group: u32| scored.values[groups.partition_point(|&other| other < group)];
        let values = orders.values(value);
        let all = groups[groups.len() - 1];
        let concepts = there.iter().enumerate().map(|(c, (name, region))| {
            json!({
                "name": name,
                "delta": values[c],
                "last_in": value(all) - value(all & !(1 << c)),
                "first_in": value(1 << c) - value(0),
                "boxes": [region.bbox.corners()],
            })
        });
        let concepts: Vec<_> = concepts.collect();
        let ranked = values.iter().zip(&there);
        let best = ranked
            .filter(|(value, _)| **value > 0.0)
            .max_by(|(a, _), (b, _)| a.total_cmp(b));
        let boxes = best.iter().map(|(value, (name, region))| ScoredBox {
            bbox: region.bbox,
            score: **value,
            label: Some((*name).to_owned()),
        });
        let painted: Vec<_> = there
            .iter()
            .map(|(_, region)| self.params.intervention.pixels(dim, [*region]))
            .collect();
        let heat = paint(dim, values.iter().copied().zip(&painted));
        let doubt = doubt(likeness(&anatomy.ranking));
        Ok(Attribution {
            boxes: Some(boxes.collect()),
            mask: best
                .map(|(_, (_, region))| Mask::from_array(region.inside.view()))
                .transpose()?,
            heat: Some(normalised(heat)?),
            evidence: Map::from_iter([
                ("concepts".to_owned(), json!(concepts)),
                ("winner".to_owned(), json!(best.map(|(_, (name, _))| name))),
                ("all".to_owned(), json!(value(all))),
                ("none".to_owned(), json!(value(0))),
                ("reliable".to_owned(), json!(doubt.is_none())),
                ("images_scored".to_owned(), json!(scored.images)),
            ]),
            warnings: Vec::from_iter(doubt),
            ..Attribution::default()
        })
    }
}
