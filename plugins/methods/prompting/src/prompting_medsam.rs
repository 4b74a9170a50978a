//! The model's own words, found by a detector and refined by a segmenter.

use medfocus_attribution::content;
use medfocus_plugin_api::{
    Ability, Attribution, AttributionMethod, BBox, Component, Context, DetectRequest, Detector,
    Error, Kind, Mask, Result, ScoredBox, Segment, SegmentRequest, Segmenter, Slot, Task, Working,
    params,
};
use ndarray::{Array2, Ix2, SliceInfo, SliceInfoElem, s};
use serde_json::json;

use crate::{
    answer::{Outcome, PhraseList},
    ask::{Reply, record},
};

params! {
    /// Parameters of [`PromptingMedSam`].
    pub struct PromptingMedSamParams {
        /// What follows the question, with the space before it.
        pub prompt: String = " Give the evidence as a JSON list of short region descriptions.";
        /// Where the answer stops at the latest.
        pub max_new_tokens: u32 = 256, in 1..=8192;
        /// Detections that score less do not count.
        pub threshold: f64 = 0.10, in 0..=1;
        /// At most so many detections a description.
        pub limit: u32 = 5, in 1..=100;
    }
}

/// Prompting with grounding: asks the model to describe where its evidence is, has a detector (in the paper OWL-ViT)
/// look for each description and a segmenter (in the paper MedSAM) refine each detection.
///
/// A box is the tight box of the refined region inside the image, or the detection if that region is empty; its
/// score is the detector's and its label the description. The mask is the union of the regions. The segmenter gets
/// all boxes in one request, so that it encodes the image once.
///
/// Evidence: `outcome` is `boxes`, `none` (the model said that there is no evidence: an empty list), `unreadable` or
/// `nothing_detected`; `question`, `text` (its first 2,000 characters), `complete`, `mean_probability` of the answer's
/// tokens, the `phrases` and how many more were `left_out`, and for each box, in order, the `detections` it was refined
/// from and the segmenter's `confidences`.
pub struct PromptingMedSam {
    context: Context,
    params: PromptingMedSamParams,
}

impl Component for PromptingMedSam {
    const NAME: &'static str = "prompting_medsam";
    const SUMMARY: &'static str = "Asks the model for descriptions of its evidence; a detector finds and a segmenter refines them.";
    const SLOTS: &'static [Slot] = &[
        Slot::model(&[Ability::Generate]),
        Slot::required("detector", Kind::Detector),
        Slot::required("segmenter", Kind::Segmenter),
    ];
    type Params = PromptingMedSamParams;

    fn new(params: PromptingMedSamParams, context: Context) -> Result<Self> {
        Ok(Self { context, params })
    }
}

impl AttributionMethod for PromptingMedSam {
    fn attribute(&self, task: &Task) -> Result<Attribution> {
        let params = &self.params;
        let reply = Reply::to(&self.context, task, &params.prompt, params.max_new_tokens)?;
        let list = PhraseList::read(reply.text());
        let detections = match list.outcome() {
            Outcome::Listed => self.detect(task, &list.phrases)?,
            Outcome::None | Outcome::Unreadable => Vec::new(),
        };
        let (outcome, warning) = match list.outcome() {
            Outcome::None => ("none", None),
            Outcome::Unreadable => (
                "unreadable",
                Some(
                    "the model's answer is not a list of descriptions: there are no boxes; its text is in the evidence",
                ),
            ),
            Outcome::Listed if detections.is_empty() => (
                "nothing_detected",
                Some("the detector found nothing that the model described: there are no boxes"),
            ),
            Outcome::Listed => ("boxes", None),
        };
        let mut found = reply.record(outcome);
        found.warnings.extend(warning.map(str::to_owned));
        found.evidence.extend(record([
            ("phrases", json!(list.phrases)),
            ("left_out", json!(list.left_out)),
        ]));
        if !detections.is_empty() {
            self.refine(task, &detections, &mut found)?;
        }
        Ok(found)
    }
}

impl PromptingMedSam {
    /// The detections inside the image, strongest first.
    fn detect(&self, task: &Task, phrases: &[String]) -> Result<Vec<ScoredBox>> {
        let lists = self.context.detector().detect(&DetectRequest::new(
            task.image.clone(),
            phrases.to_vec(),
            self.params.threshold,
            self.params.limit,
        ))?;
        one_each("detector", lists.len(), phrases.len(), "descriptions")?;
        let content = content(task)?;
        let mut detections: Vec<_> = lists
            .into_iter()
            .zip(phrases)
            .flat_map(|(list, phrase)| {
                list.into_iter().filter_map(|found| {
                    Some(ScoredBox {
                        bbox: found.bbox.intersection(&content)?,
                        score: found.score,
                        label: Some(phrase.clone()),
                    })
                })
            })
            .collect();
        detections.sort_by(|a, b| b.score.total_cmp(&a.score));
        Ok(detections)
    }

    /// Fills in the refined boxes and their union.
    fn refine(&self, task: &Task, detections: &[ScoredBox], found: &mut Attribution) -> Result<()> {
        let segments = self.context.segmenter().segment(&SegmentRequest::new(
            task.image.clone(),
            detections.iter().map(|d| d.bbox).collect(),
        ))?;
        one_each("segmenter", segments.len(), detections.len(), "boxes")?;
        let content = content(task)?;
        let mut union = Array2::from_elem(task.image.view().dim(), false);
        let mut boxes = Vec::new();
        for (detection, segment) in detections.iter().zip(&segments) {
            let region = region(segment, &detection.bbox, &content, union.dim())?;
            let tight = Mask::from_array(region.view())?.tight_box();
            boxes.push(ScoredBox {
                bbox: tight.unwrap_or(detection.bbox),
                ..detection.clone()
            });
            union.zip_mut_with(&region, |all, &here| *all |= here);
        }
        found.boxes = Some(boxes);
        found.mask = Some(Mask::from_array(union.view())?);
        let corners: Vec<_> = detections.iter().map(|d| d.bbox.corners()).collect();
        let confidences: Vec<_> = segments.iter().map(|s| s.confidence).collect();
        found.evidence.extend(record([
            ("detections", json!(corners)),
            ("confidences", json!(confidences)),
        ]));
        Ok(())
    }
}

/// The segment's pixels inside the image, or its prompt if there are none.
fn region(
    segment: &Segment,
    prompt: &BBox<Working>,
    content: &BBox<Working>,
    dim: (usize, usize),
) -> Result<Array2<bool>> {
    let pixels = segment.mask.view();
    if pixels.dim() != dim {
        return Err(Error::protocol(format!(
            "the segmenter's masks have {} x {} pixels, the image {} x {}",
            segment.mask.width(),
            segment.mask.height(),
            dim.1,
            dim.0
        )));
    }
    let mut region = Array2::from_elem(dim, false);
    let mut inside = region.slice_mut(slice(content));
    inside.assign(&pixels.slice(slice(content)).mapv(|pixel| pixel != 0));
    if !inside.iter().any(|&pixel| pixel) {
        region.slice_mut(slice(prompt)).fill(true);
    }
    Ok(region)
}

/// Rows and columns of the box.
fn slice(bbox: &BBox<Working>) -> SliceInfo<[SliceInfoElem; 2], Ix2, Ix2> {
    let [x1, y1, x2, y2] = bbox.corners().map(|c| c as usize);
    s![y1..y2, x1..x2]
}

fn one_each(who: &str, got: usize, asked: usize, of: &str) -> Result<()> {
    if got == asked {
        return Ok(());
    }
    Err(Error::protocol(format!(
        "the {who} answered {got} times to {asked} {of}"
    )))
}
