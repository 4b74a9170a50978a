//! MedFocus, then the parts that decide: what of the image has to be made healthy for the answer to turn?

use medfocus_attribution::{Quantity, Scorer, Span, Target, content, normalised};
use medfocus_plugin_api::{
    Ability, Attribution, AttributionMethod, BBox, CONCEPTS, Component, Context, GrayImage, Kind,
    Mask, Result, ScoredBox, Slot, Task, Working, params,
};
use ndarray::Array2;
use serde_json::json;

use crate::{
    abnormal::abnormal,
    healthy::Healthy,
    intervention::{paint, replaced},
    localise::Anatomy,
    medfocus::{MedFocus, MedFocusParams},
    pool,
    reference::Features,
    refine::masks,
    region::Region,
};

/// At most so many times the images that MedFocus scores.
const BUDGET: usize = 3;

params! {
    /// Parameters of [`MedFocusFine`]; all that MedFocus has besides are its defaults.
    pub struct MedFocusFineParams {
        /// References that say what is healthy, the first of the ranking.
        pub healthy: usize = 16, in 2..=10000;
        /// A part departs from the healthy image by at least so many standard deviations of the references.
        pub level: f64 = 1.5, in 0.1..=100;
        /// Share of the whole effect that the two strongest parts must have together; if they have less, MedFocus' answer stands.
        pub share: f64 = 0.7, in 0..=1;
        /// The box holds each part whose effect is at least this share of the strongest's.
        pub part: f64 = 0.05, in 0.001..=1;
        /// Least effect of a part in the box, in natural log-odds, and of the whole image; if that has less, MedFocus' answer stands.
        pub least: f64 = 0.05, in 0.001..=100;
        /// A segmenter's mask takes the box's place if the intersection of their boxes is at least this share of the union; 0 takes every mask that is not empty.
        pub agreement: f64 = 0.4, in 0..=1;
        /// Images a model call; changes speed and memory, not the result.
        pub batch: usize = 16, in 1..=4096;
    }
}

/// MedFocus with a finer box, of at most three times as many images.
///
/// 1. [`MedFocus`], with its defaults.
/// 2. The references, moved to lie on the image, are averaged to an image of the same patient in health. Parts are
///    connected pixels that depart from it by more than the references differ among themselves.
/// 3. With s = log p - log(1 - p) of the answer, each part becomes healthy on its own: Delta is what s loses. So does the whole
///    image.
/// 4. If the two strongest parts together lose `share` of what the whole image does, the box is that around the strongest and
///    all that matter beside it (the second does if the strongest alone has not that share); a segmenter, where there is one,
///    refines it. Otherwise the effect is no part's but the concept's, and MedFocus' answer stands.
pub struct MedFocusFine {
    context: Context,
    params: MedFocusFineParams,
    target: Target,
    medfocus: MedFocus,
}

impl Component for MedFocusFine {
    const NAME: &'static str = "medfocus_fine";
    const SUMMARY: &'static str =
        "MedFocus, then the parts of the image that have to become healthy for the answer to turn.";
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
            target: Target {
                quantity: Quantity::LogProb,
                span: Span::Answer,
                tokens: None,
            },
            medfocus: MedFocus::new(first, context.clone())?,
            context,
            params,
        })
    }
}

impl AttributionMethod for MedFocusFine {
    /// As MedFocus if its answer stands. Otherwise one box: its score the two strongest parts' Delta, its label the concept that
    /// covers most of it and the third it lies in; the mask a segmenter's, or none; the heat MedFocus' plus each part's
    /// share of the highest Delta, painted on it.
    /// Evidence besides: `winner`, that label; `effect`, what the answer loses in the healthy image; `parts`, each with `bbox` and
    /// `delta`; `together`, the Delta of the two strongest; `fine_images`, those scored in addition.
    fn attribute(&self, task: &Task) -> Result<Attribution> {
        let (pool, anatomy, mut found) = self.medfocus.explain(task)?;
        let content = content(task)?;
        let features = Features::of(&task.image, &content, &MedFocusParams::default().looks())?;
        let (ranking, count) = (&anatomy.ranking, self.params.healthy);
        let healthy = Healthy::of(&task.image, &features, &content, pool, ranking, count)?;
        let heat = found.heat.as_ref().map(|heat| heat.view().mapv(f64::from));
        let weight = heat.unwrap_or_else(|| Array2::ones(task.image.view().dim()));
        let spent = found.evidence["images_scored"].as_u64().unwrap_or(0) as usize;
        // Three images are no part's: as it is, healthy, and the two strongest together.
        let most = ((BUDGET - 1) * spent).saturating_sub(3);
        let parts = abnormal(
            &healthy.departure,
            &weight,
            &content,
            self.params.level,
            most,
        );
        let effects = self.weigh(task, &healthy.image, &parts)?;
        let listed = parts.iter().zip(&effects.deltas);
        let listed: Vec<_> = listed
            .map(|(part, delta)| json!({"bbox": part.bbox.corners(), "delta": delta}))
            .collect();
        found.evidence.insert("effect".into(), json!(effects.whole));
        found.evidence.insert("parts".into(), json!(listed));
        found
            .evidence
            .insert("together".into(), json!(effects.together));
        found
            .evidence
            .insert("fine_images".into(), json!(effects.images));
        if effects.whole < self.params.least {
            found
                .warnings
                .push("no part is sought: the answer is as likely for the healthy image".into());
            return Ok(found);
        }
        if effects.together < self.params.share * effects.whole {
            return Ok(found);
        }
        let Some(around) = self.hull(task, &content, &parts, &effects) else {
            return Ok(found);
        };
        let mask = self.segmented(task, &content, &around)?;
        let bbox = mask.as_ref().map_or(around, |mask| mask.bbox);
        let label = named(&anatomy, &bbox);
        found.evidence.insert("winner".into(), json!(label));
        found.evidence.insert("fallback".into(), json!(false));
        let score = effects.together;
        found.boxes = Some(vec![ScoredBox { bbox, score, label }]);
        let mask = mask.map(|mask| Mask::from_array(mask.inside.view()));
        found.mask = mask.transpose()?;
        // The parts above MedFocus' map.
        let most = effects
            .deltas
            .iter()
            .copied()
            .fold(f64::MIN_POSITIVE, f64::max);
        let shares = effects.deltas.iter().map(|delta| delta / most);
        let shares = shares.zip(parts.iter().map(|part| &part.inside));
        let painted = paint(task.image.view().dim(), shares);
        found.heat = Some(normalised(painted + weight.mapv(|w| w as f32))?);
        Ok(found)
    }
}

/// What the answer loses, in log-odds.
struct Losses {
    /// With the whole image healthy.
    whole: f64,
    /// With each part healthy.
    deltas: Vec<f64>,
    /// The parts, strongest first.
    ranked: Vec<usize>,
    /// With the two strongest healthy, or with the only one.
    together: f64,
    /// How many different images were scored.
    images: usize,
}

impl MedFocusFine {
    fn weigh(&self, task: &Task, healthy: &GrayImage, parts: &[Region]) -> Result<Losses> {
        let scorer = Scorer {
            context: &self.context,
            task,
            target: &self.target,
            batch: self.params.batch,
        };
        // As it is, healthy, and without each part.
        let scored = scorer.score(2 + parts.len(), |i| match i {
            0 => Ok(task.image.clone()),
            1 => Ok(healthy.clone()),
            i => replaced(&task.image, healthy, &parts[i - 2].inside),
        })?;
        let given = log_odds(scored.values[0]);
        let loss = |value: &f64| given - log_odds(*value);
        let deltas: Vec<_> = scored.values[2..].iter().map(loss).collect();
        let mut ranked: Vec<_> = (0..parts.len()).collect();
        ranked.sort_by(|&a, &b| deltas[b].total_cmp(&deltas[a]));
        let mut losses = Losses {
            whole: loss(&scored.values[1]),
            together: ranked.first().map_or(0.0, |&first| deltas[first]),
            images: scored.images,
            deltas,
            ranked,
        };
        if let [first, second, ..] = losses.ranked[..] {
            let both = &parts[first].inside | &parts[second].inside;
            let scored = scorer.score(1, |_| replaced(&task.image, healthy, &both))?;
            losses.together = losses.together.max(loss(&scored.values[0]));
            losses.images += scored.images;
        }
        Ok(losses)
    }

    /// The box around what becomes healthy with the parts that matter.
    fn hull(
        &self,
        task: &Task,
        content: &BBox<Working>,
        parts: &[Region],
        losses: &Losses,
    ) -> Option<BBox<Working>> {
        let strongest = losses.deltas[*losses.ranked.first()?];
        let needed = if strongest >= self.params.share * losses.whole {
            1
        } else {
            2
        };
        let least = self.params.least.max(self.params.part * strongest);
        let mut all = Array2::from_elem(task.image.view().dim(), false);
        for (rank, &part) in losses.ranked.iter().enumerate() {
            if rank < needed || losses.deltas[part] >= least {
                all.zip_mut_with(&parts[part].inside, |all, inside| *all |= inside);
            }
        }
        Some(Region::within(all, content)?.bbox)
    }

    /// The segmenter's mask of a box, if there is a segmenter and the two agree.
    fn segmented(
        &self,
        task: &Task,
        content: &BBox<Working>,
        bbox: &BBox<Working>,
    ) -> Result<Option<Region>> {
        if !self.context.filled("segmenter") {
            return Ok(None);
        }
        let (segmenter, agreement) = (self.context.segmenter(), self.params.agreement);
        let masks = masks(&task.image, content, &segmenter, &[*bbox], agreement)?;
        Ok(masks.into_iter().next().flatten())
    }
}

/// log p - log(1 - p); a log-probability in `f32` knows no p nearer to 1.
fn log_odds(log_prob: f64) -> f64 {
    let log_prob = log_prob.min(-f64::from(f32::EPSILON));
    log_prob - (-log_prob.exp_m1()).ln()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_odds_follow_their_definition() {
        for p in [1e-12, 0.2f64, 0.5, 0.9, 0.9999] {
            let exact = (p / (1.0 - p)).ln();
            assert!((log_odds(p.ln()) - exact).abs() < 1e-9, "{p}");
        }
        assert!(log_odds(0.0).is_finite());
    }
}
