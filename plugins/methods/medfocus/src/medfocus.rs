//! MedFocus (Xiong et al., arXiv 2605.20158, section 4): anatomical concepts are found in the image by transport from
//! reference images, taken out one after the other, and the answer is attributed to the one it misses most.

use medfocus_attribution::{
    Aim, Once, Quantity, Scorer, WORKING_DIM, content, normalised, token_heat,
};
use medfocus_plugin_api::CONCEPTS;
use medfocus_plugin_api::{
    Ability, Attribution, AttributionMethod, BBox, Component, Context, HeatMap, Kind, Mask, Result,
    ScoredBox, Slot, Task, Working, choices,
};
use ndarray::Array2;
use serde_json::{Map, Value, json};

use crate::{
    intervention::{Candidate, Delta, Drop, Effects, Intervention, candidates, paint, replaced},
    localise::{Anatomy, Localisation, Transfer, localise},
    pool::{self, Pool},
    reference::{Features, Looks},
    refine::Refinement,
    region::Region,
    reliability::{doubt, likeness},
    replacement::{self, Editing, Source},
    shared::params_with_interventions,
    transport::{Entropy, Intensity, Sampling, Sinkhorn, Support},
};

choices! {
    /// What the evidence of a composite is.
    pub enum CompositeBoxes {
        /// A box for each member.
        Members = "members",
        /// One box around all of them.
        Hull = "hull",
    }
}

params_with_interventions! {
    /// Parameters of [`MedFocus`]; the published code's are in `configs/paper/published.toml`.
    pub struct MedFocusParams {
        /// Images of the pool to read, from its first.
        pub pool_size: u32 = 16, in 1..=10000;
        /// What is made of grey levels before images are compared.
        pub intensity: Intensity = "equalised";
        /// Cells along each side of the grid of the transport that references are aligned from, or else ranked by.
        pub selection_grid: usize = 14, in 2..=224;
        /// Weight of the marginals in that transport.
        pub selection_lambda: f64 = 0.1, in 0.001..=100;
        /// Cells along each side of the grid on which masks are carried over, if `transfer` is not `aligned`.
        pub grid: usize = 28, in 2..=224;
        /// How pixels become cells.
        pub sampling: Sampling = "area";
        /// Cells at or below this intensity, as a share of the image's range, carry no mass.
        pub threshold: f64 = 0.02, in 0..=0.99;
        /// At most so many cells carry mass, the brightest.
        pub support: usize = 50176, in 1..=50176;
        /// Weight of the plan's entropy, for a cost divided by its 90th percentile.
        pub eps: f64 = 0.05, in 0.001..=10;
        /// Weight of the marginals where masks are carried over, if `transfer` is not `aligned`.
        pub lambda: f64 = 1.0, in 0.001..=100;
        /// What the entropy is taken against.
        pub entropy: Entropy = "relative";
        /// A transport stops when its scaling changes by less.
        pub tolerance: f64 = 1e-3, in 1e-15..=1;
        /// A transport stops after so many iterations.
        pub iterations: u32 = 500, in 1..=100000;
        /// How a reference's masks are carried over.
        pub transfer: Transfer = "aligned";
        /// Whether the barycentric map is freed of the entropy's pull.
        pub debias: bool = true;
        /// References that vote, the first of the ranking.
        pub references: u32 = 5, in 1..=10000;
        /// Of what a mask sends, the fraction that its region must receive, if `transfer` is `mass` or `published`.
        pub quantile: f64 = 0.75, in 0.01..=1;
        /// A segmenter's mask takes a region's place if the intersection of their boxes is at least this share of the union; 0 takes every mask that is not empty.
        pub agreement: f64 = 0.4, in 0..=1;
        /// Whether single concepts are also taken out in pairs.
        pub composites: bool = true;
        /// What the evidence of a pair is.
        pub composite_boxes: CompositeBoxes = "members";
        /// What a token's log-probability loses.
        pub drop: Drop = "clipped";
        /// How the tokens' losses become the concept's.
        pub delta: Delta = "sum";
        /// The smallest concept that reaches this share of the strongest's Delta is the evidence; 1 is the strongest itself.
        pub share: f64 = 0.7, in 0.01..=1;
        /// No concept dominates if the strongest leaves at least this share of the answer's probability: then the
        /// answer is attributed to the whole image.
        pub tau: f64 = 0.75, in 0..=1;
        /// Also a map for each answer token.
        pub per_token: bool = false;
    }
}

impl MedFocusParams {
    /// How images are looked at.
    pub fn looks(&self) -> Looks {
        Looks {
            intensity: self.intensity,
            sampling: self.sampling,
            support: Support {
                threshold: self.threshold,
                limit: self.support,
            },
            coarse: self.selection_grid,
            fine: self.grid,
        }
    }

    /// How concepts are localised.
    pub fn localisation(&self) -> Localisation {
        let transport = Sinkhorn {
            eps: self.eps,
            lambda: self.lambda,
            entropy: self.entropy,
            tolerance: self.tolerance,
            iterations: self.iterations,
        };
        Localisation {
            selection: Sinkhorn {
                lambda: self.selection_lambda,
                ..transport
            },
            transport,
            transfer: self.transfer,
            debias: self.debias,
            references: self.references as usize,
            quantile: self.quantile,
        }
    }

    /// How concepts are replaced.
    fn editing(&self) -> Editing<'_> {
        Editing {
            replacement: self.replacement,
            intervention: self.intervention,
            prompt: &self.prompt,
        }
    }
}

/// MedFocus: attributes an answer to an anatomical concept.
///
/// 1. The references of the slot `pool` (normal images with masks of [`CONCEPTS`]) are laid over the image by unbalanced
///    optimal transport, aligned from there, and ranked by how alike they then look. (The paper ranks by the transport's
///    cost.)
/// 2. The masks of the best are carried over; their vote is a region for each concept. A segmenter, where there is one,
///    refines the regions' boxes in one request; where its mask agrees too little with the vote the region stays.
/// 3. The image is scored as it is and without each concept and composite, the same answer throughout. Their
///    pixels become black, grey or blurred, or what the editor in the slot `editor` makes of them. With
///    d_{c,t} the drop of a token's log-probability, Delta_c = sum_t d_{c,t} and r_c = exp(-Delta_c).
/// 4. The whole image is the evidence if the strongest concept has r >= tau. Otherwise the smallest concept is whose Delta
///    reaches `share` of the strongest's. (The paper takes the strongest. Taking out more seldom hurts the answer less,
///    so that both lungs win wherever one of them, or an angle in it, would say as much.)
pub struct MedFocus {
    context: Context,
    params: MedFocusParams,
    aim: Aim,
    pool: Once<Pool>,
}

impl Component for MedFocus {
    const NAME: &'static str = "medfocus";
    const SUMMARY: &'static str = "MedFocus (Xiong et al., 2026): anatomical concepts by optimal transport, weighed by taking them out.";
    const SLOTS: &'static [Slot] = &[
        Slot::model(&[Ability::Score]),
        Slot::required(pool::SLOT, Kind::Dataset),
        Slot::optional("segmenter", Kind::Segmenter),
        Slot::optional(replacement::SLOT, Kind::Editor),
    ];
    type Params = MedFocusParams;

    fn new(params: MedFocusParams, context: Context) -> Result<Self> {
        params.replacement.check(&context)?;
        Ok(Self {
            aim: Aim::new(Quantity::LogProb, params.answer_span, &params.tokens)?,
            context,
            params,
            pool: Once::default(),
        })
    }
}

impl AttributionMethod for MedFocus {
    /// Boxes: the evidence's, their score Delta, their label the concept (the whole image has none). Mask: the same
    /// regions. Heat: Delta painted on the pixels that were replaced for each single concept, the highest on top.
    ///
    /// Evidence: `fallback`, whether no concept dominates; `winner`, the concept chosen; `concepts`, each with its `delta`,
    /// `ratio` and `boxes`; `matrix`, the drops d (concepts in that order, tokens); `tokens`, their texts; `references`,
    /// those that voted, each with its `index`, the `cost` and `mass` of its transport on the grid of the selection, its
    /// `likeness` after alignment and the `transport` that carried its masks (if they are aligned, the same); `segmenter`, if
    /// there is one, how many of its masks were `accepted` and the concepts whose mask was `rejected`; `reliable`,
    /// with the `likeness` that says so; `share` and `tau`, by which it was decided; `images_scored`.
    ///
    /// An image that is unlike the pool is explained all the same, but a warning says that it cannot be relied on. One
    /// without any contrast is an error.
    fn attribute(&self, task: &Task) -> Result<Attribution> {
        let (_, _, attribution) = self.explain(task)?;
        Ok(attribution)
    }
}

/// The candidates and what became of the answer without them.
struct Trial {
    candidates: Vec<Candidate>,
    /// The pixels replaced for each.
    pixels: Vec<Array2<bool>>,
    effects: Effects,
    /// Text of each token.
    words: Vec<String>,
    /// How many different images were scored.
    images: usize,
}

impl MedFocus {
    /// The pool, where the concepts lie, and what they mean to the answer.
    pub(crate) fn explain(&self, task: &Task) -> Result<(&Pool, Anatomy, Attribution)> {
        let content = content(task)?;
        let (pool, anatomy, refinement) = self.anatomy(task, &content)?;
        let candidates = candidates(&anatomy.regions, self.params.composites);
        let trial = self.intervene(task, &content, &anatomy, candidates)?;
        let mut found = self.decide(task, &content, pool, &anatomy, &trial)?;
        let refinement = refinement.map(|refinement| ("segmenter".into(), refinement.report()));
        found.evidence.extend(refinement);
        Ok((pool, anatomy, found))
    }

    /// The pool, where the concepts lie, and what a segmenter made of them, if there is one.
    pub(crate) fn anatomy(
        &self,
        task: &Task,
        content: &BBox<Working>,
    ) -> Result<(&Pool, Anatomy, Option<Refinement>)> {
        let looks = self.params.looks();
        let read = || Pool::read(&self.context, self.params.pool_size, &looks);
        let pool = self.pool.get(read)?;
        let features = Features::of(&task.image, content, &looks)?;
        let (own, how) = (task.sample.as_ref(), self.params.localisation());
        let mut anatomy = localise(&features, content, pool, own, &how)?;
        let refinement = self.refine(task, content, &mut anatomy)?;
        Ok((pool, anatomy, refinement))
    }

    /// The regions as the segmenter sees them; nothing if there is none.
    fn refine(
        &self,
        task: &Task,
        content: &BBox<Working>,
        anatomy: &mut Anatomy,
    ) -> Result<Option<Refinement>> {
        let refine = || {
            Refinement::of(
                &mut anatomy.regions,
                &task.image,
                content,
                &self.context.segmenter(),
                self.params.agreement,
            )
        };
        self.context.filled("segmenter").then(refine).transpose()
    }

    /// Scores the answer on the image and without each candidate.
    fn intervene(
        &self,
        task: &Task,
        content: &BBox<Working>,
        anatomy: &Anatomy,
        candidates: Vec<Candidate>,
    ) -> Result<Trial> {
        let params = &self.params;
        let dim = task.image.view().dim();
        let source = Source::new(&params.editing(), &self.context, task, content)?;
        let pixels: Vec<_> = candidates
            .iter()
            .map(|candidate| params.intervention.pixels(dim, members(anatomy, candidate)))
            .collect();
        let target = self.aim.of(task)?;
        let scorer = Scorer {
            context: &self.context,
            task,
            target: &target,
            batch: params.batch,
        };
        // The image itself first.
        let scored = scorer.score(1 + pixels.len(), |i| match i {
            0 => Ok(task.image.clone()),
            i => {
                let (regions, pixels) = (members(anatomy, &candidates[i - 1]), &pixels[i - 1]);
                replaced(&task.image, &source.image(regions, pixels)?, pixels)
            }
        })?;
        let chosen = target.chosen(scored.tokens.ncols())?;
        Ok(Trial {
            effects: Effects::of(scored.tokens.view(), chosen, params.drop, params.delta),
            candidates,
            pixels,
            words: scored.words,
            images: scored.images,
        })
    }

    /// The evidence is the strongest candidate, or the whole image.
    fn decide(
        &self,
        task: &Task,
        content: &BBox<Working>,
        pool: &Pool,
        anatomy: &Anatomy,
        trial: &Trial,
    ) -> Result<Attribution> {
        let effects = &trial.effects;
        let strongest = effects.strongest();
        let dominates = |c: &usize| effects.ratio(*c) < self.params.tau;
        let sizes: Vec<_> = trial.pixels.iter().map(size).collect();
        let winner = effects.smallest(self.params.share, &sizes);
        let dominant = winner.filter(|_| strongest.as_ref().is_some_and(dominates));
        let delta = dominant.or(strongest).map_or(0.0, |c| effects.deltas[c]);
        let (boxes, mask) = match dominant.map(|c| &trial.candidates[c]) {
            Some(candidate) => (
                self.boxes(anatomy, candidate)?,
                Intervention::Mask.pixels(task.image.view().dim(), members(anatomy, candidate)),
            ),
            None => (
                vec![(*content, None)],
                Array2::from_shape_fn(task.image.view().dim(), |(y, x)| {
                    content.contains(x as u32, y as u32)
                }),
            ),
        };
        let boxes = boxes.into_iter().map(|(bbox, label)| ScoredBox {
            bbox,
            score: delta,
            label: label.map(str::to_owned),
        });
        let each_token = |t| trial.heat(|c| effects.drops[(c, t)]);
        let token_heat = self
            .params
            .per_token
            .then(|| token_heat(effects.drops.ncols(), each_token))
            .transpose()?;
        let likeness = likeness(&anatomy.ranking);
        let doubt = doubt(likeness);
        let mut evidence = self.report(pool, anatomy, trial)?;
        evidence.insert("fallback".into(), json!(dominant.is_none()));
        evidence.insert(
            "winner".into(),
            json!(winner.map(|c| trial.candidates[c].name)),
        );
        evidence.insert("reliable".into(), json!(doubt.is_none()));
        evidence.insert("likeness".into(), json!(rounded(likeness)));
        let mut warnings = Vec::from_iter(doubt);
        if trial.candidates.is_empty() {
            warnings.push("the references place no concept in the image".into());
        }
        if anatomy.transports.iter().any(|t| !t.convergence.converged) {
            warnings.push(format!(
                "a transport had not converged after {} iterations: raise `iterations` or `tolerance`",
                self.params.iterations
            ));
        }
        Ok(Attribution {
            boxes: Some(boxes.collect()),
            mask: Some(Mask::from_array(mask.view())?),
            heat: Some(trial.heat(|c| effects.deltas[c])?),
            token_heat,
            evidence,
            warnings,
        })
    }

    /// The boxes of a candidate, each with the name of what it holds.
    fn boxes(
        &self,
        anatomy: &Anatomy,
        candidate: &Candidate,
    ) -> Result<Vec<(BBox<Working>, Option<&'static str>)>> {
        let single = candidate.members.iter().zip(members(anatomy, candidate));
        let boxes = single.map(|(&c, region)| (region.bbox, Some(CONCEPTS[c])));
        match self.params.composite_boxes {
            CompositeBoxes::Members => Ok(boxes.collect()),
            CompositeBoxes::Hull => {
                let corners: Vec<_> = boxes.map(|(bbox, _)| bbox.corners()).collect();
                let low = |i: usize| corners.iter().map(|c| c[i]).min().unwrap_or_default();
                let high = |i: usize| corners.iter().map(|c| c[i]).max().unwrap_or_default();
                let hull = BBox::new(low(0), low(1), high(2), high(3))?;
                Ok(vec![(hull, Some(candidate.name))])
            }
        }
    }

    fn report(&self, pool: &Pool, anatomy: &Anatomy, trial: &Trial) -> Result<Map<String, Value>> {
        let effects = &trial.effects;
        let concepts = trial.candidates.iter().enumerate().map(|(c, candidate)| {
            let boxes = self.boxes(anatomy, candidate)?;
            let corners: Vec<_> = boxes.iter().map(|(bbox, _)| bbox.corners()).collect();
            Ok(json!({
                "name": candidate.name,
                "delta": effects.deltas[c],
                "ratio": effects.ratio(c),
                "boxes": corners,
            }))
        });
        let drops = effects.drops.rows().into_iter();
        let matrix: Vec<Vec<f64>> = drops
            .map(|row| row.iter().copied().map(rounded).collect())
            .collect();
        let voters = anatomy.ranking.iter().take(self.params.references as usize);
        let references = voters.enumerate().map(|(i, voter)| {
            json!({
                "index": pool.references[voter.reference].key.index,
                "cost": voter.transport.cost,
                "mass": voter.transport.mass,
                "likeness": rounded(voter.alignment.likeness),
                "transport": anatomy.transports.get(i).map(|transport| json!({
                    "cost": transport.cost,
                    "mass": transport.mass,
                    "iterations": transport.convergence.iterations,
                    "change": transport.convergence.change,
                    "converged": transport.convergence.converged,
                })),
            })
        });
        Ok(Map::from_iter([
            ("concepts".into(), concepts.collect::<Result<Value>>()?),
            ("matrix".into(), json!(matrix)),
            ("tokens".into(), json!(trial.words)),
            ("references".into(), references.collect()),
            ("share".into(), json!(self.params.share)),
            ("tau".into(), json!(self.params.tau)),
            ("images_scored".into(), json!(trial.images)),
        ]))
    }
}

impl Trial {
    /// Each single concept's value painted where it was taken out. What a pair is worth together is no one pixel's.
    fn heat(&self, value: impl Fn(usize) -> f64) -> Result<HeatMap> {
        let values = self.pixels.iter().enumerate();
        let values = values.filter(|(c, _)| self.candidates[*c].members.len() == 1);
        normalised(paint(
            WORKING_DIM,
            values.map(|(c, pixels)| (value(c), pixels)),
        ))
    }
}

fn members<'a>(anatomy: &'a Anatomy, candidate: &'a Candidate) -> impl Iterator<Item = &'a Region> {
    candidate
        .members
        .iter()
        .filter_map(|&c| anatomy.regions[c].as_ref())
}

/// How many pixels a region has.
fn size(pixels: &Array2<bool>) -> usize {
    pixels.iter().filter(|&&inside| inside).count()
}

/// To four decimals: a log-probability in `f32` knows no more.
fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}
