//! The stage of the causal filter: every sample's original and counterfactual images are shown to its model.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    slice,
    time::Instant,
};

use medfocus_plugin_api::{
    Ability, BBox, Client, DatasetReader, Error, ErrorKind, GenerateEachRequest, GrayImage, Kind,
    Letterbox, Mode, Native, Result, SampleKey, ScoreRequest, VisionLanguageModel, WORKING_SIDE,
};
use ndarray::Ix2;
use serde::{Deserialize, Serialize};

use super::{
    case::{case_seed, reader},
    config::{Ask, Filter},
    part::Part,
    phase::Phase,
    plan::{Cell, Plan},
    results,
    stage::{Desk, Finished, Stage, StageResult},
    workers::Crew,
};
use crate::{
    attribute::with_suffix,
    causal::{
        edits::{Edits, Original, Wrong},
        gate::{Group, Role, group},
        record::{
            Counterfactual, Draw, FilterOutcome, FilterRecord, Judgement, Reply, Rule, Tried,
        },
    },
    output::OutDir,
    study::Study,
    workbench::{Ready, Workbench},
};

/// Judges the samples that the journal lacks.
///
/// # Errors
///
/// An editor cannot be made, too many samples failed, the disk fails, or the user asked to stop.
pub(super) fn filter(
    bench: &Workbench,
    crew: &mut Crew,
    part: &Part<'_>,
    retry_failed: bool,
) -> Result<StageResult<FilterRecord>> {
    let plan = part.plan;
    let Some(filter) = &plan.experiment.filter else {
        return Ok(StageResult {
            records: Vec::new(),
            finished: Finished::default(),
        });
    };
    let edits = match &filter.edits {
        Some(path) => OutDir::create(path)?,
        None => part.folder.within(&[results::EDITS])?,
    };
    let (journal, held) = part.journal(Phase::Filter)?;
    let stage = Stage {
        session: &bench.session,
        plan,
        part,
        phase: Phase::Filter,
        cells: &plan.cells,
        note: "samples filtered",
    };
    let work = |bench: &Workbench, model: &Ready, desk: &Desk<'_, FilterRecord>| {
        let mut jury = Jury::new(bench, plan, filter, model, &edits)?;
        while let Some((cell, index)) = desk.next() {
            let begin = Instant::now();
            let outcome = match jury.judge(cell, index) {
                Err(Wrong::Disk(error)) => return Err(error),
                Err(Wrong::Sample(error)) if error.kind == ErrorKind::Cancelled => {
                    return Err(error);
                }
                Err(Wrong::Sample(error)) => FilterOutcome::Failed { error },
                Ok(outcome) => outcome,
            };
            desk.put(FilterRecord {
                case: cell.case(index),
                model_digest: desk.digest.clone(),
                outcome,
                seconds: begin.elapsed().as_secs_f64(),
            })?;
        }
        Ok(())
    };
    stage.run(crew, &journal, held, retry_failed, &work)
}

/// What the causal filter takes for a sample.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FilterCost {
    /// Seconds, edits included.
    pub seconds: f64,
    /// Calls of the model.
    pub calls: u64,
}

/// What the filter takes for a sample of a cell, tried on the first of a few samples that is answered rightly. Nothing if
/// none is.
///
/// # Errors
///
/// An editor cannot be made.
pub(super) fn tried(
    bench: &Workbench,
    plan: &Plan,
    cell: &Cell,
    model: &Ready,
    tries: u64,
) -> Result<Option<FilterCost>> {
    let Some(filter) = &plan.experiment.filter else {
        return Ok(None);
    };
    let temporary = tempfile::tempdir()
        .map_err(|error| Error::internal(format!("no temporary folder can be made: {error}")))?;
    let edits = OutDir::create(temporary.path())?;
    let mut jury = Jury::new(bench, plan, filter, model, &edits)?;
    for place in 0..cell.samples.min(tries) {
        bench.session.take_ledger();
        let begin = Instant::now();
        let outcome = match jury.judge(cell, cell.index(place)) {
            Err(Wrong::Disk(error)) => return Err(error),
            Err(Wrong::Sample(error)) if error.kind == ErrorKind::Cancelled => return Err(error),
            outcome => outcome,
        };
        let calls = bench.session.take_ledger();
        let right = match outcome {
            Ok(FilterOutcome::Judged(judged)) => judged.group != Group::Incorrect,
            _ => false,
        };
        if right {
            let calls = calls.iter().filter(|(name, _)| name.starts_with("model."));
            let calls = calls.map(|(_, count)| count.calls).sum();
            return Ok(Some(FilterCost {
                seconds: begin.elapsed().as_secs_f64(),
                calls,
            }));
        }
    }
    Ok(None)
}

/// The filter's editors, by their names, each with how many draws it has.
fn editors(bench: &Workbench, filter: &Filter) -> Result<Vec<(String, u32, Ready)>> {
    let editors = filter.editors.iter();
    editors
        .map(|config| {
            let recipe = bench.plan_component(Kind::Editor, &config.filling())?;
            let ready = bench.share(&recipe)?;
            Ok((config.label().to_owned(), config.draws, ready))
        })
        .collect()
}

/// A model and those who edit for it.
struct Jury<'a> {
    bench: &'a Workbench,
    plan: &'a Plan,
    filter: &'a Filter,
    model: &'a Ready,
    /// Whether probabilities are wanted, and the model can score.
    probabilities: bool,
    editors: Vec<(String, u32, Ready)>,
    edits: Edits<'a>,
    readers: BTreeMap<String, Client>,
}

/// A sample as it is put to the model.
struct Matter<'a> {
    key: &'a SampleKey,
    finding: &'a str,
    /// Letterboxed to the side in which images are edited.
    square: GrayImage,
    /// The annotated region in it.
    boxes: Vec<BBox<Native>>,
    /// Suffix included.
    question: String,
    /// The same, asked directly.
    direct: String,
    seed: u64,
}

impl<'a> Jury<'a> {
    fn new(
        bench: &'a Workbench,
        plan: &'a Plan,
        filter: &'a Filter,
        model: &'a Ready,
        folder: &'a OutDir,
    ) -> Result<Self> {
        let abilities = VisionLanguageModel::info(&model.client())?.abilities;
        Ok(Self {
            bench,
            plan,
            filter,
            model,
            probabilities: filter.probabilities && abilities.contains(&Ability::Score),
            editors: editors(bench, filter)?,
            edits: Edits { filter, folder },
            readers: BTreeMap::new(),
        })
    }

    fn judge(&mut self, cell: &Cell, index: u64) -> Result<FilterOutcome, Wrong> {
        let reader = match self.readers.entry(cell.dataset.clone()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(reader(self.bench, self.plan, &cell.dataset)?),
        };
        let sample = reader.sample(index)?;
        let side = self.filter.side;
        let place = Letterbox::new(sample.image.width(), sample.image.height(), side)?;
        let boxes = sample.boxes.iter().filter_map(|b| place.to_working(b));
        let boxes: Vec<_> = boxes.filter_map(|b| native(b.corners())).collect();
        if sample.present != Some(true) || boxes.is_empty() {
            return Ok(FilterOutcome::Unannotated);
        }
        let mode = match self.filter.ask {
            Ask::Mode => cell.mode,
            Ask::Direct => Mode::Direct,
        };
        let image = Study::of(sample.image.clone())?.source.digest;
        let matter = Matter {
            key: &sample.key,
            finding: &sample.finding,
            square: square(&sample.image, side)?,
            boxes,
            question: with_suffix(&sample.question, mode),
            direct: with_suffix(&sample.question, Mode::Direct),
            seed: case_seed(self.plan.seed, &cell.dataset, index),
        };
        let original = slice::from_ref(&matter.square);
        let original = self.replies(&matter, original)?.pop();
        let mut original = original.ok_or_else(|| Error::internal("the original has no answer"))?;
        let mut group = group(self.plan.experiment.verdict, &original.answer, []);
        let mut tried = Vec::new();
        if group != Group::Incorrect {
            original.yes = self.yes(&matter, [&matter.square])?.pop();
            let editors = self.editors.iter();
            tried = editors
                .map(|(name, draws, editor)| {
                    self.tried(&matter, &original.answer, name, *draws, editor)
                })
                .collect::<Result<Vec<Tried>, Wrong>>()?;
            group = tried.first().map_or(group, |deciding| deciding.group);
        }
        Ok(FilterOutcome::Judged(Box::new(Judgement {
            finding: matter.finding.to_owned(),
            patient: sample.patient.clone(),
            image,
            question: matter.question,
            group,
            original,
            editors: tried,
        })))
    }

    /// An editor's draws, until one of them proves nothing: the others could not change that.
    fn tried(
        &self,
        matter: &Matter<'_>,
        answer: &str,
        name: &str,
        draws: u32,
        editor: &Ready,
    ) -> Result<Tried, Wrong> {
        let mut made = Vec::new();
        for number in 0..draws {
            let draw = self.draw(matter, answer, editor, number)?;
            let proves = draw.group == Group::Grounded;
            made.push(draw);
            if !proves {
                break;
            }
        }
        Ok(Tried {
            editor: name.to_owned(),
            group: made.last().map_or(Group::Ungrounded, |last| last.group),
            draws: made,
        })
    }

    /// The counterfactuals of one seed; the first one's come with a sham and with probabilities.
    fn draw(
        &self,
        matter: &Matter<'_>,
        answer: &str,
        editor: &Ready,
        number: u32,
    ) -> Result<Draw, Wrong> {
        let seed = self
            .filter
            .seed
            .unwrap_or(matter.seed)
            .wrapping_add(u64::from(number));
        let original = Original {
            image: &matter.square,
            boxes: &matter.boxes,
            finding: matter.finding,
            sample: matter.key,
        };
        let sham = self.filter.sham && number == 0;
        let roles = Role::ALL
            .into_iter()
            .filter(|role| sham || *role != Role::Sham);
        let edits = roles.map(|role| {
            let (edited, edit) = self.edits.get(editor, &original, role, seed)?;
            Ok(((role, edit), edited))
        });
        let edits: Vec<_> = edits.collect::<Result<_, Wrong>>()?;
        let (edits, shown): (Vec<_>, Vec<GrayImage>) = edits.into_iter().unzip();
        let mut replies = self.replies(matter, &shown)?;
        if number == 0 {
            let yes = self.yes(matter, &shown)?;
            for (reply, yes) in replies.iter_mut().zip(yes) {
                reply.yes = Some(yes);
            }
        }
        let images = edits.into_iter().zip(replies);
        let images: BTreeMap<Role, Counterfactual> = images
            .map(|((role, edit), reply)| (role, Counterfactual { edit, reply }))
            .collect();
        Ok(Draw {
            seed,
            group: Rule::new(self.filter, self.plan.experiment.verdict).group(answer, &images),
            images,
        })
    }

    /// What the model answers about each of some images of the editing side.
    fn replies(&self, matter: &Matter<'_>, images: &[GrayImage]) -> Result<Vec<Reply>> {
        let images = images.iter().map(working).collect::<Result<_>>()?;
        let (question, limit) = (matter.question.clone(), self.plan.max_new_tokens);
        let request = GenerateEachRequest::new(images, question, limit);
        let said = self.model.client().generate_each(&request)?.into_iter();
        Ok(said
            .map(|said| Reply {
                verdict: self.plan.experiment.verdict.read(&said.text),
                answer: said.text,
                cut: !said.complete,
                yes: None,
            })
            .collect())
    }

    /// The probability of `Yes` against `No` for each image; none if that is not wanted, or the model cannot score.
    fn yes<'i>(
        &self,
        matter: &Matter<'_>,
        images: impl IntoIterator<Item = &'i GrayImage>,
    ) -> Result<Vec<f64>> {
        if !self.probabilities {
            return Ok(Vec::new());
        }
        let images: Vec<GrayImage> = images.into_iter().map(working).collect::<Result<_>>()?;
        let log_probs = |answer: &str| -> Result<Vec<f64>> {
            let request = ScoreRequest::new(images.clone(), matter.direct.clone(), answer);
            let scores = self.model.client().score(&request);
            let scores = scores.map_err(|error| match error.kind {
                ErrorKind::Invalid | ErrorKind::Unsupported => error
                    .context(format!(
                        "the filter asks how probable the answer `{answer}` is"
                    ))
                    .with_hint("set `experiment.filter.probabilities` to false to leave that out"),
                _ => error,
            })?;
            let log_probs = scores.log_probs.view_nd::<f32, Ix2>()?;
            let sums = log_probs.rows().into_iter();
            Ok(sums
                .map(|row| row.iter().map(|&l| f64::from(l)).sum())
                .collect())
        };
        let (yes, no) = (log_probs("Yes")?, log_probs("No")?);
        let pairs = yes.into_iter().zip(no);
        Ok(pairs
            .map(|(yes, no)| 1.0 / (1.0 + (no - yes).exp()))
            .collect())
    }
}

/// The image letterboxed to a square.
fn square(image: &GrayImage, side: u32) -> Result<GrayImage> {
    if (image.width(), image.height()) == (side, side) {
        return Ok(image.clone());
    }
    GrayImage::from_array(medfocus_imaging::working::letterbox(image.view(), side))
}

/// What the model sees of an image of the editing side: the original and its edits come to it on the same way.
fn working(image: &GrayImage) -> Result<GrayImage> {
    square(image, WORKING_SIDE)
}

fn native(corners: [u32; 4]) -> Option<BBox<Native>> {
    let [x1, y1, x2, y2] = corners;
    BBox::new(x1, y1, x2, y2).ok()
}
