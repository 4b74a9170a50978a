//! Sanity checks (Adebayo et al., NeurIPS 2018): an attribution that stays the same when weights, question or patient
//! change does not explain the model's answer.

use std::{
    collections::{BTreeMap, HashMap, HashSet, btree_map::Entry},
    ops::Range,
    slice,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use medfocus_plugin_api::{
    Error, ErrorKind, GenerateRequest, Mode, Result, Task, VisionLanguageModel,
};

use super::{
    case::{Known, Posed, Scene},
    cast::chosen_methods,
    config::{Noise, Sanity},
    filtered::Filtered,
    journal::Journal,
    part::Part,
    phase::Phase,
    plan::{Cell, Plan, Tuned},
    record::{CaseKey, Change, Outcome, Record, SanityOutcome, SanityRecord},
    stage::check_digest,
    workers::{Crew, Queue},
};
use crate::{
    attribute::{Explained, explain, with_suffix},
    metrics,
    plugin::{Progress, Session},
    score::blank,
    verdict::Verdict,
    workbench::{Ready, Workbench},
};

/// A sample that was attributed: its cell and what the journal says of it, the answer among it.
type Item<'a> = (&'a Cell, &'a Record);

/// What each method said of a model's originals, so that it is asked once.
type Originals = Mutex<HashMap<(CaseKey, String), Arc<Result<Explained>>>>;

/// What sanity checks are made of.
pub(super) struct Checks<'a> {
    /// Shows progress.
    pub session: &'a Session,
    pub plan: &'a Plan,
    /// Which of the samples are done here.
    pub part: &'a Part<'a>,
    pub tuned: &'a [Tuned],
    pub filtered: &'a Filtered,
}

impl Checks<'_> {
    /// Runs the checks that the journal lacks, and those that failed if these are wanted again.
    ///
    /// # Errors
    ///
    /// Those of a run, and that a model cannot be randomised.
    pub fn run(&self, crew: &mut Crew, records: &[Record], retry_failed: bool) -> Result<()> {
        let Some(sanity) = &self.plan.experiment.sanity else {
            return Ok(());
        };
        let (journal, mut held) = self
            .part
            .lines(Phase::Sanity, |_: &Vec<SanityRecord>| true)?;
        if retry_failed {
            let failed = |r: &SanityRecord| matches!(r.outcome, SanityOutcome::Failed { .. });
            held.retain(|line| !line.iter().any(failed));
        }
        let done: HashSet<_> = held.iter().flatten().map(|r| (&r.case, r.change)).collect();
        for model in &self.plan.models {
            let originals = Originals::default();
            for change in changes(sanity) {
                let items: Vec<Item<'_>> = self
                    .checked(records, &model.name)
                    .filter(|(cell, record)| {
                        !done.contains(&(&record.case, change)) && cell.samples > 1
                    })
                    .collect();
                let check = Check {
                    all: self,
                    change,
                    journal: &journal,
                    originals: &originals,
                    done: AtomicU64::default(),
                    total: items.len() as u64,
                };
                crew.work(&model.name, &items, |bench, ready, queue| {
                    check.work(bench, &model.name, ready, queue)
                })?;
            }
        }
        Ok(())
    }

    /// The samples of a model that are checked here.
    fn checked<'b>(
        &'b self,
        records: &'b [Record],
        model: &'b str,
    ) -> impl Iterator<Item = Item<'b>> {
        let cells = self
            .plan
            .cells
            .iter()
            .filter(move |cell| cell.model == model);
        cells.flat_map(|cell| {
            let places = self.places(cell);
            let attributed = records.iter().filter(|record| {
                cell.is_of(&record.case) && matches!(record.outcome, Outcome::Attributed { .. })
            });
            let first = attributed.take(places.end as usize);
            first
                .skip(places.start as usize)
                .map(move |record| (cell, record))
        })
    }

    /// Which of a cell's attributed samples are checked here.
    fn places(&self, cell: &Cell) -> Range<u64> {
        let samples = self
            .plan
            .experiment
            .sanity
            .as_ref()
            .map_or(0, |sanity| sanity.samples);
        let places = self.part.places(Phase::Sanity, cell);
        places.start..places.end.min(samples)
    }
}

/// What is changed, in this order.
pub(super) fn changes(sanity: &Sanity) -> Vec<Change> {
    let weights = sanity.randomise.iter().map(|&noise| match noise {
        Noise::Layers(layers) => Change::Weights(layers),
        Noise::All => Change::AllWeights,
    });
    [Change::Question, Change::Patient, Change::NoImage]
        .into_iter()
        .chain(weights)
        .collect()
}

/// One change, made to the samples of one model.
struct Check<'a> {
    all: &'a Checks<'a>,
    change: Change,
    /// A line holds the records of one sample, one a method.
    journal: &'a Journal<Vec<SanityRecord>>,
    originals: &'a Originals,
    done: AtomicU64,
    total: u64,
}

impl Check<'_> {
    fn work(
        &self,
        bench: &Workbench,
        model: &str,
        ready: &Ready,
        queue: &Queue<'_, Item<'_>>,
    ) -> Result<()> {
        let noisy = match self.change {
            Change::Weights(layers) => Some(randomised(bench, model, layers.into())?),
            Change::AllWeights => Some(randomised(bench, model, -1)?),
            Change::Question | Change::Patient | Change::NoImage => None,
        };
        let mut scenes: BTreeMap<String, (Scene<'_>, Option<Scene<'_>>)> = BTreeMap::new();
        let digest = VisionLanguageModel::info(&ready.client())?.digest;
        while let Some((cell, record)) = queue.next() {
            check_digest(slice::from_ref(record), model, &digest)?;
            let (original, changed) = match scenes.entry(cell.slug()) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => {
                    let scene = |model| self.scene(bench, cell, model);
                    entry.insert((scene(ready)?, noisy.as_ref().map(scene).transpose()?))
                }
            };
            let changed = changed.as_ref().unwrap_or(original);
            self.journal
                .append(&self.compare(original, changed, record)?)?;
            self.all.session.show(&Progress {
                component: Progress::RUN,
                done: self.done.fetch_add(1, Ordering::Relaxed) + 1,
                total: self.total,
                note: "sanity checks",
            });
        }
        Ok(())
    }

    fn scene<'s>(
        &'s self,
        bench: &'s Workbench,
        cell: &'s Cell,
        model: &'s Ready,
    ) -> Result<Scene<'s>> {
        let methods = chosen_methods(bench, self.all.plan, self.all.tuned, cell, model)?;
        Scene::new(
            bench,
            self.all.plan,
            cell,
            model,
            methods,
            self.all.filtered,
            None,
        )
    }

    /// One record a method, and one of the answer where another image is shown, or none.
    fn compare(
        &self,
        original: &Scene<'_>,
        changed: &Scene<'_>,
        record: &Record,
    ) -> Result<Vec<SanityRecord>> {
        let case = &record.case;
        let known = record.subject.as_ref().map(|subject| Known {
            answer: &subject.answer,
            cut: subject.cut,
        });
        let mut posed = original.pose(case.index, known)?;
        original.read_out(&mut posed.task)?;
        let task = self.changed_task(original, &posed, case.index)?;
        let about = |method: Option<&String>, outcome: SanityOutcome| SanityRecord {
            case: case.clone(),
            method: method.cloned(),
            change: self.change,
            outcome,
        };
        let mut records = Vec::new();
        if matches!(self.change, Change::Patient | Change::NoImage) {
            records.push(about(None, self.answered(original, &posed, &task)?));
        }
        // Without an image there is nothing to point at.
        let methods = original.methods.iter().zip(&changed.methods);
        let methods = methods.filter(|_| self.change != Change::NoImage);
        for ((name, method), (_, other)) in methods {
            let before = self.original(case, name, method, &posed.task)?;
            let outcome = match (&*before, explain(other, &task, &self.all.plan.boxes)) {
                (Err(error), _) => failed(error.clone())?,
                (_, Err(error)) => failed(error)?,
                (Ok(before), Ok(after)) => compared(before, &after),
            };
            records.push(about(Some(name), outcome));
        }
        Ok(records)
    }

    /// What the model says of the changed task.
    fn answered(&self, scene: &Scene<'_>, posed: &Posed, task: &Task) -> Result<SanityOutcome> {
        let plan = self.all.plan;
        let request = GenerateRequest::new(
            task.image.clone(),
            task.question.clone(),
            plan.max_new_tokens,
        );
        let answer = match scene.model.client().generate(&request) {
            Ok(said) => said.text,
            Err(error) => return failed(error),
        };
        let (parser, before) = (plan.experiment.verdict, &posed.subject.answer);
        let same = match posed.subject.verdict {
            Verdict::Undecided => answer.trim() == before.trim(),
            verdict => parser.read(&answer) == verdict,
        };
        let present = posed.subject.present.filter(|_| task.mode != Mode::Open);
        let right = present.map(|present| {
            let truth = if present { Verdict::Yes } else { Verdict::No };
            [before, &answer].map(|answer| parser.says(answer, truth))
        });
        Ok(SanityOutcome::Answered {
            answer,
            same,
            right,
        })
    }

    fn original(
        &self,
        case: &CaseKey,
        name: &str,
        method: &Ready,
        task: &Task,
    ) -> Result<Arc<Result<Explained>>> {
        let key = (case.clone(), name.to_owned());
        let lock = || {
            self.originals
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        if let Some(known) = lock().get(&key) {
            return Ok(known.clone());
        }
        let found = Arc::new(explain(method, task, &self.all.plan.boxes));
        lock().insert(key, found.clone());
        Ok(found)
    }

    /// The task with its question or its image taken from the next sample about another finding, or with a black image.
    fn changed_task(&self, scene: &Scene<'_>, posed: &Posed, index: u64) -> Result<Task> {
        let mut task = posed.task.clone();
        match self.change {
            Change::Weights(_) | Change::AllWeights => return Ok(task),
            Change::NoImage => {
                task.image = blank(&task.image, &task.letterbox);
                return Ok(task);
            }
            Change::Question | Change::Patient => {}
        }
        let samples = scene.cell.samples;
        let place = scene.cell.place(index).unwrap_or_default();
        for other in (1..samples).map(|step| (place + step) % samples) {
            let (sample, study) = scene.read(scene.cell.index(other))?;
            if sample.finding == posed.subject.finding {
                continue;
            }
            if self.change == Change::Question {
                task.question = with_suffix(&sample.question, scene.cell.mode);
                task.finding = Some(sample.finding);
            } else {
                task.image = study.working;
                task.native = study.native;
                task.letterbox = study.letterbox;
                task.sample = Some(sample.key);
            }
            return Ok(task);
        }
        Err(Error::invalid(format!(
            "all samples of {} ask about one finding, so no question can be swapped",
            scene.cell.dataset
        ))
        .with_hint("leave out `experiment.sanity`"))
    }
}

/// The model with its top layers replaced by noise; -1 for all weights.
fn randomised(bench: &Workbench, model: &str, layers: i64) -> Result<Ready> {
    let recipe = bench.plan_model(model, [("randomise".to_owned(), layers.into())].into())?;
    if recipe.manifest.params["properties"]
        .get("randomise")
        .is_none()
    {
        return Err(Error::unsupported(format!(
            "model `{model}` has no parameter `randomise`, so its weights cannot be replaced by noise"
        ))
        .with_hint("leave out `experiment.sanity.randomise`"));
    }
    bench.make(&recipe, None)
}

fn compared(before: &Explained, after: &Explained) -> SanityOutcome {
    let boxes = |found: &Explained| found.boxes.iter().map(|b| b.working).collect::<Vec<_>>();
    let maps = before.heat.as_ref().zip(after.heat.as_ref());
    SanityOutcome::Compared {
        rank_correlation: maps.and_then(|(a, b)| metrics::rank_correlation(a, b)),
        region_iou: metrics::overlap(&boxes(before), &boxes(after)).iou,
    }
}

/// A failure is an outcome, unless the user asked to stop.
fn failed(error: Error) -> Result<SanityOutcome> {
    match error.kind {
        ErrorKind::Cancelled => Err(error),
        _ => Ok(SanityOutcome::Failed { error }),
    }
}
