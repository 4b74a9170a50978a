//! MedFocus, then the part that decides: where does the image have to be made healthy for the answer to turn?

use medfocus_attribution::{Aim, Quantity, Scorer, Span, content};
use medfocus_plugin_api::{
    Ability, Attribution, AttributionMethod, BBox, CONCEPTS, Component, Context, GrayImage, Kind,
    Result, ScoredBox, Slot, Task, Working, params,
};
use ndarray::Array2;
use serde_json::json;

use crate::{
    cuts::{Cuts, Loss},
    extent::grown,
    healthy::healthy,
    intervention::replaced,
    localise::Anatomy,
    medfocus::{MedFocus, MedFocusParams},
    pool,
    reference::Features,
};

/// At most so many times the images that MedFocus scores; a margin scores each image beyond those for two words.
const BUDGET: usize = 3;

params! {
    /// Parameters of [`MedFocusFine`]; all that MedFocus has besides are its defaults.
    pub struct MedFocusFineParams {
        /// References whose mean is the healthy image, the first of the ranking.
        pub healthy: usize = 5, in 1..=10000;
        /// What is explained; a margin is the answer's own, whichever sign it has.
        pub target: Quantity = "margin";
        /// Share of the effect that may lie beyond each edge of the box.
        pub rest: f64 = 0.02, in 0..=0.4;
        /// Least effect that a part is sought of; below it MedFocus' answer stands.
        pub least: f64 = 0.05, in 0.001..=100;
        /// The box grows to what departs from the healthy image by this share of the most inside it; 1 hardly grows it.
        pub level: f64 = 0.3, in 0.01..=1;
        /// A box becomes a concept's if their intersection is at least this share of their union.
        pub snap: f64 = 0.5, in 0.01..=1;
        /// Images a model call; changes speed and memory, not the result.
        pub batch: usize = 16, in 1..=4096;
    }
}

/// MedFocus with a finer box, of at most three times as many images; of those beyond, a margin scores two words each.
///
/// 1. [`MedFocus`], with its defaults.
/// 2. The references, moved to lie on the image, are averaged to an image of the same patient in health. With s the target,
///    T = s(image) - s(healthy).
/// 3. Lines are drawn down and across. What lies before a line becomes healthy, then what lies after it; by halving, each
///    edge comes to lie where a side first matters to the answer.
/// 4. The box grows to the connected part that departs from the healthy image as its strongest pixel does. If it then agrees
///    with a concept, it becomes the concept's.
pub struct MedFocusFine {
    context: Context,
    params: MedFocusFineParams,
    aim: Aim,
    medfocus: MedFocus,
}

impl Component for MedFocusFine {
    const NAME: &'static str = "medfocus_fine";
    const SUMMARY: &'static str =
        "MedFocus, then the part of the image that has to become healthy for the answer to turn.";
    const SLOTS: &'static [Slot] = &[
        Slot::model(&[Ability::Score]),
        Slot::required(pool::SLOT, Kind::Dataset),
        Slot::optional("segmenter", Kind::Segmenter),
    ];
    type Params = MedFocusFineParams;

    fn new(params: MedFocusFineParams, context: Context) -> Result<Self> {
        let first = MedFocusParams {
            batch: params.batch,
            ..MedFocusParams::default()
        };
        Ok(Self {
            aim: Aim::new(params.target, Span::Answer, "")?,
            medfocus: MedFocus::new(first, context.clone())?,
            context,
            params,
        })
    }
}

impl AttributionMethod for MedFocusFine {
    /// As MedFocus, but one box: its score T, its label the concept whose box it became, else the one that covers most of it
    /// and the third it lies in. Heat and `winner` stay MedFocus'. Evidence besides: `part`, that label; `effect`, T; `fine_images`, those scored in addition.
    fn attribute(&self, task: &Task) -> Result<Attribution> {
        let (pool, anatomy, mut found) = self.medfocus.explain(task)?;
        let content = content(task)?;
        let features = Features::of(&task.image, &content, &MedFocusParams::default().looks())?;
        let count = self.params.healthy;
        let by = healthy(
            &task.image,
            &features,
            &content,
            pool,
            &anatomy.ranking,
            count,
        )?;
        let spent = found.evidence["images_scored"].as_u64().unwrap_or(0) as usize;
        let (total, core, images) = self.search(task, &by, &content, (BUDGET - 1) * spent)?;
        found.evidence.insert("effect".into(), json!(total));
        found.evidence.insert("fine_images".into(), json!(images));
        let Some(core) = core else {
            found
                .warnings
                .push("no part is sought: the answer is as likely for the healthy image".into());
            return Ok(found);
        };
        let [x1, y1, x2, y2] = grown(&task.image, &by, core, self.params.level);
        let [x1, y1] = [x1, y1].map(|c| c.floor() as u32);
        let [x2, y2] = [x2, y2].map(|c| c.ceil() as u32);
        let bbox = BBox::<Working>::new(x1, y1, x2, y2)?;
        let bbox = bbox.intersection(&content).unwrap_or(content);
        let (bbox, label) = match snapped(&anatomy, &bbox, self.params.snap) {
            Some((name, bbox)) => (bbox, Some(name.to_owned())),
            None => (bbox, named(&anatomy, &bbox)),
        };
        found.evidence.insert("part".into(), json!(label));
        let score = total;
        found.boxes = Some(vec![ScoredBox { bbox, score, label }]);
        found.mask = None;
        Ok(found)
    }
}

impl MedFocusFine {
    /// The effect of the whole image, the box that holds it, and how many images were scored; no box if there is next to
    /// no effect, or no image left to seek it with.
    fn search(
        &self,
        task: &Task,
        by: &GrayImage,
        content: &BBox<Working>,
        budget: usize,
    ) -> Result<(f64, Option<[f64; 4]>, usize)> {
        let target = self.aim.of(task)?;
        let scorer = Scorer {
            context: &self.context,
            task,
            target: &target,
            batch: self.params.batch,
        };
        let whole = content.corners().map(f64::from);
        let scored = scorer.score(2, |i| match i {
            0 => Ok(task.image.clone()),
            _ => within(task, by, whole),
        })?;
        let given = scored.values[0];
        // Of a margin the answer's own side.
        let against = target.quantity == Quantity::Margin && given < 0.0;
        let sign = if against { -1.0 } else { 1.0 };
        let loss = |value: f64| sign * (given - value);
        let (total, mut images) = (loss(scored.values[1]), scored.images);
        if total < self.params.least || images + 8 > budget {
            return Ok((total, None, images));
        }
        let mut cuts = Cuts::new(whole, total, self.params.rest);
        while images + 8 <= budget {
            let lines = cuts.lines();
            let scored = scorer.score(8, |i| {
                let (edge, axis) = (i / 2, i / 4);
                let mut side = whole;
                side[if i % 2 == 0 { axis + 2 } else { axis }] = lines[edge];
                within(task, by, side)
            })?;
            images += scored.images;
            cuts.halve([0, 1, 2, 3].map(|edge| Loss {
                before: loss(scored.values[2 * edge]),
                after: loss(scored.values[2 * edge + 1]),
            }));
        }
        Ok((total, Some(cuts.found()), images))
    }
}

/// The task's image with a box (left, top, right, bottom) of another.
fn within(task: &Task, by: &GrayImage, [x1, y1, x2, y2]: [f64; 4]) -> Result<GrayImage> {
    let pixels = Array2::from_shape_fn(task.image.view().dim(), |(y, x)| {
        let (y, x) = (y as f64, x as f64);
        (x1..x2).contains(&x) && (y1..y2).contains(&y)
    });
    replaced(&task.image, by, &pixels)
}

/// The concept that a box agrees with most, and its box, if their intersection is at least this share of their union.
fn snapped(
    anatomy: &Anatomy,
    bbox: &BBox<Working>,
    least: f64,
) -> Option<(&'static str, BBox<Working>)> {
    let agreement = |other: &BBox<Working>| {
        let both = bbox.intersection(other).map_or(0, |both| both.area());
        both as f64 / (bbox.area() + other.area() - both) as f64
    };
    let concepts = CONCEPTS.iter().zip(&anatomy.regions);
    let boxes = concepts.filter_map(|(name, region)| Some((*name, region.as_ref()?.bbox)));
    let near = boxes.filter(|(_, other)| agreement(other) >= least);
    near.max_by(|(_, a), (_, b)| agreement(a).total_cmp(&agreement(b)))
}

/// The concept that covers most of a box, and in which third of it the box's middle lies; nothing if none covers any.
fn named(anatomy: &Anatomy, bbox: &BBox<Working>) -> Option<String> {
    let covered = |inside: &Array2<bool>| {
        let pixels = inside.indexed_iter().filter(|(_, inside)| **inside);
        pixels
            .filter(|((y, x), _)| bbox.contains(*x as u32, *y as u32))
            .count()
    };
    let regions = CONCEPTS.iter().zip(&anatomy.regions);
    let regions = regions.filter_map(|(name, region)| Some((name, region.as_ref()?)));
    let most = regions.map(|(name, region)| (covered(&region.inside), name, region));
    let (_, name, region) = most
        .filter(|(pixels, ..)| *pixels > 0)
        .max_by_key(|(pixels, ..)| *pixels)?;
    let ([_, top, _, bottom], [_, y1, _, y2]) = (region.bbox.corners(), bbox.corners());
    let middle = f64::from(y1 + y2) / 2.0 - f64::from(top);
    let third = match middle / f64::from(bottom - top) * 3.0 {
        ..1.0 => "upper",
        1.0..2.0 => "middle",
        _ => "lower",
    };
    Some(format!("{name}, {third} third"))
}
