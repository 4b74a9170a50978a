//! Faithfulness without annotation: does the answer turn when what a method points at is edited away, and does it stay
//! when all else is?

use medfocus_attribution::{Draws, content};
use medfocus_plugin_api::{
    BBox, EditRequest, GenerateEachRequest, GrayImage, Kind, Native, Result, Task,
    VisionLanguageModel, Working, protocol::editor::Side,
};

use super::{config::Prompts, plan::Plan};
use crate::{
    causal::{edits, gate::Role},
    metrics::{Flips, Turn},
    verdict::{Parser, Verdict},
    workbench::{Ready, Workbench},
};

/// A stream of draws of its own.
const STREAM: u64 = 0xf11b5;

/// An editor and the model that answers about its images.
pub struct Flipper<'a> {
    editor: Ready,
    model: &'a Ready,
    prompts: &'a Prompts,
    parser: Parser,
    max_new_tokens: u32,
}

impl<'a> Flipper<'a> {
    /// The experiment's editor, if it has one.
    ///
    /// # Errors
    ///
    /// It cannot be made.
    pub fn new(bench: &Workbench, plan: &'a Plan, model: &'a Ready) -> Result<Option<Self>> {
        let Some(flips) = &plan.experiment.flips else {
            return Ok(None);
        };
        let recipe = bench.plan_component(Kind::Editor, &flips.editor.filling())?;
        Ok(Some(Self {
            editor: bench.share(&recipe)?,
            model,
            prompts: &flips.prompts,
            parser: plan.experiment.verdict,
            max_new_tokens: plan.max_new_tokens,
        }))
    }

    /// What editing these boxes does to the answer yes, beside boxes of the same sizes anywhere else; nothing of another
    /// answer. No boxes turn nothing, and leave nothing that could keep the answer.
    ///
    /// # Errors
    ///
    /// The editor or the model fails.
    pub fn flips(&self, task: &Task, boxes: &[BBox<Working>]) -> Result<Option<Flips>> {
        if !self.parser.says(&task.answer, Verdict::Yes) {
            return Ok(None);
        }
        Ok(Some(Flips {
            found: self.turn(task, boxes)?,
            random: self.turn(task, &moved(task, boxes)?)?,
        }))
    }

    fn turn(&self, task: &Task, boxes: &[BBox<Working>]) -> Result<Turn> {
        let corners = boxes.iter().map(BBox::corners);
        let boxes = corners.map(|[x1, y1, x2, y2]| BBox::new(x1, y1, x2, y2));
        let boxes: Vec<BBox<Native>> = boxes.collect::<Result<_>>()?;
        if boxes.is_empty() {
            return Ok(Turn::default());
        }
        let roles = [Role::Edited, Role::EditedKept];
        let images = roles.map(|role| self.edited(task, &boxes, role));
        let images = images.into_iter().collect::<Result<_>>()?;
        let request = GenerateEachRequest::new(images, task.question.clone(), self.max_new_tokens);
        let said = self.model.client().generate_each(&request)?;
        let verdict = |at: usize| said.get(at).map(|said| self.parser.read(&said.text));
        Ok(Turn {
            flip: verdict(0) == Some(Verdict::No),
            keep: verdict(1) == Some(Verdict::Yes),
        })
    }

    /// The image edited for a role.
    fn edited(&self, task: &Task, boxes: &[BBox<Native>], role: Role) -> Result<GrayImage> {
        let finding = task.finding.as_deref().unwrap_or_default();
        let mut request = EditRequest::new(
            task.image.clone(),
            boxes.to_vec(),
            self.prompts.of(role, finding),
        );
        request.side = role.side();
        request.seed = task.seed;
        request.sample = task.sample.clone();
        if role.side() == Side::Background && covers(task, boxes)? {
            // Nothing is left to edit.
            return Ok(request.image);
        }
        edits::ask(&self.editor, &request)
    }
}

/// Whether one of the boxes holds the whole image.
fn covers(task: &Task, boxes: &[BBox<Native>]) -> Result<bool> {
    let [x1, y1, x2, y2] = content(task)?.corners();
    Ok(boxes.iter().any(|bbox| {
        let [left, top, right, bottom] = bbox.corners();
        left <= x1 && top <= y1 && right >= x2 && bottom >= y2
    }))
}

/// Boxes of the same sizes, anywhere in the image.
fn moved(task: &Task, boxes: &[BBox<Working>]) -> Result<Vec<BBox<Working>>> {
    let image = content(task)?;
    let mut draws = Draws::new(task.seed, STREAM);
    let [left, top, ..] = image.corners();
    let boxes = boxes.iter().map(|bbox| {
        let width = bbox.width().min(image.width());
        let height = bbox.height().min(image.height());
        let x = left + draws.below(image.width() - width + 1);
        let y = top + draws.below(image.height() - height + 1);
        BBox::new(x, y, x + width, y + height)
    });
    boxes.collect()
}
