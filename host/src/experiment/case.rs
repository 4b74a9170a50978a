//! One sample of a cell: image, answer, verdict, then every method on the same task.

use std::time::Instant;

use medfocus_plugin_api::{
    Ability, BBox, Client, DatasetReader, Error, ErrorKind, GrayImage, HeatMap, Kind, Mode,
    ModelInfo, Result, Sample, ScoreRequest, Task, VisionLanguageModel, WORKING_SIDE, Working,
};
use ndarray::{Axis, Ix2};

use super::{
    config::{AnswerSource, Ask, Counted, Curves, Experiment, Keep},
    filtered::Filtered,
    flips::Flipper,
    plan::{Cell, Plan, slug},
    record::{Count, Exclusion, MethodOutcome, MethodResult, Outcome, Record, Subject},
};
use crate::{
    attribute::{self, BoxRecord, Explained, explain, with_suffix},
    causal::{gate::Group, record::FilterOutcome},
    evidence::{self, Weighed},
    metrics::{self, Flips, Judged, METRICS, curves},
    output::OutDir,
    overlay::{self, Thumbnail},
    score::{LanguagePrior, blank, mean_probability, score},
    study::Study,
    verdict::Verdict,
    workbench::{Ready, Workbench},
};

/// A cell made ready: its dataset, its model and its methods.
pub struct Scene<'a> {
    /// Counts the calls.
    pub bench: &'a Workbench,
    /// What all is part of.
    pub plan: &'a Plan,
    /// Which part this is.
    pub cell: &'a Cell,
    /// The dataset.
    pub reader: Client,
    /// The model.
    pub model: &'a Ready,
    /// What the model is.
    pub model_info: ModelInfo,
    /// The methods, by their names in tables.
    pub methods: Vec<(String, Ready)>,
    /// What the causal filter found.
    pub filtered: &'a Filtered,
    /// Who edits what the methods point at, if anyone does.
    pub flipper: Option<Flipper<'a>>,
    /// Where pictures and maps go, if any are wanted.
    pub folder: Option<&'a OutDir>,
}

/// An answer that needs no asking.
pub struct Known<'a> {
    /// The answer.
    pub answer: &'a str,
    /// Whether it was cut at the limit of tokens.
    pub cut: bool,
}

/// A sample with the answer about it.
pub struct Posed {
    /// What is explained.
    pub task: Task,
    /// For the record.
    pub subject: Subject,
    /// Why it is not explained, if it is not.
    pub exclusion: Option<Exclusion>,
}

impl<'a> Scene<'a> {
    /// Makes a cell's dataset ready around a model and the methods made for it.
    ///
    /// # Errors
    ///
    /// The dataset cannot be made, or the model does not say what it is.
    pub fn new(
        bench: &'a Workbench,
        plan: &'a Plan,
        cell: &'a Cell,
        model: &'a Ready,
        methods: Vec<(String, Ready)>,
        filtered: &'a Filtered,
        folder: Option<&'a OutDir>,
    ) -> Result<Self> {
        Ok(Self {
            reader: reader(bench, plan, &cell.dataset)?,
            flipper: Flipper::new(bench, plan, model)?,
            filtered,
            model_info: VisionLanguageModel::info(&model.client())?,
            bench,
            plan,
            cell,
            model,
            methods,
            folder,
        })
    }
    /// The record of sample `index`.
    ///
    /// # Errors
    ///
    /// [`Error::cancelled`], or a file could not be written. Whatever else fails is part of the record.
    pub fn record(&self, index: u64) -> Result<Record> {
        let begin = Instant::now();
        let (subject, outcome) = match self.pose(index, self.known(index)) {
            Err(error) if error.kind == ErrorKind::Cancelled => return Err(error),
            Err(error) => (None, Outcome::Failed { error }),
            Ok(Posed {
                subject,
                exclusion: Some(reason),
                ..
            }) => (Some(subject), Outcome::Excluded { reason }),
            Ok(mut posed) => {
                posed.subject.language_prior = self.read_out(&mut posed.task)?;
                let results = self.attribute(index, &posed)?;
                (Some(posed.subject), Outcome::Attributed { results })
            }
        };
        Ok(Record {
            case: self.cell.case(index),
            model_digest: self.model_info.digest.clone(),
            computed: Some(self.model_info.clone().into()),
            seed: case_seed(self.plan.seed, &self.cell.dataset, index),
            subject,
            outcome,
            seconds: begin.elapsed().as_secs_f64(),
        })
    }

    /// Reads a sample.
    ///
    /// # Errors
    ///
    /// The reader fails.
    pub fn read(&self, index: u64) -> Result<(Sample, Study)> {
        let sample = self.reader.sample(index)?;
        let study = Study::of(sample.image.clone())?;
        Ok((sample, study))
    }

    /// The answer about a sample that is known before the model is asked: the filter's or the dataset's.
    pub(super) fn known(&self, index: u64) -> Option<Known<'_>> {
        let experiment = &self.plan.experiment;
        match experiment.answer {
            AnswerSource::Truth => None,
            AnswerSource::Recorded => Some(Known {
                answer: self.cell.recorded(index)?,
                cut: false,
            }),
            AnswerSource::Generated => {
                let filter = experiment.filter.as_ref()?;
                // Asked otherwise, or about another image, the model may have answered otherwise.
                let same = filter.ask == Ask::Mode || self.cell.mode == Mode::Direct;
                let judged = self.filtered.judgement(&self.cell.case(index))?;
                (same && filter.side == WORKING_SIDE).then_some(Known {
                    answer: &judged.original.answer,
                    cut: judged.original.cut,
                })
            }
        }
    }

    /// Reads a sample and gets the answer about it, unless that is known.
    ///
    /// # Errors
    ///
    /// The sample cannot be read or the model cannot answer.
    pub fn pose(&self, index: u64, known: Option<Known<'_>>) -> Result<Posed> {
        let experiment = &self.plan.experiment;
        let (sample, study) = self.read(index)?;
        let question = with_suffix(&sample.question, self.cell.mode);
        let (answer, cut) = match known {
            Some(known) => (known.answer.to_owned(), known.cut),
            None => self.answer(&sample, &study, &question)?,
        };
        let group = self.group(index)?;
        let verdict = experiment.verdict.read(&answer);
        let subject = Subject {
            image: study.source.digest.clone(),
            size: (study.source.width, study.source.height),
            patient: sample.patient.clone(),
            finding: sample.finding.clone(),
            present: sample.present,
            truth: sample.boxes.clone(),
            question: question.clone(),
            answer: answer.clone(),
            cut,
            verdict,
            language_prior: None,
            group,
        };
        let mut task = study.into_task(question, answer);
        task.mode = self.cell.mode;
        task.seed = case_seed(self.plan.seed, &self.cell.dataset, index);
        task.finding = Some(sample.finding);
        task.sample = Some(sample.key);
        Ok(Posed {
            exclusion: exclusion(experiment, self.cell.mode, &subject),
            task,
            subject,
        })
    }

    /// What the filter proved of a sample, if it met it.
    ///
    /// # Errors
    ///
    /// The one that kept the filter from it.
    fn group(&self, index: u64) -> Result<Option<Group>> {
        match self.filtered.outcome(&self.cell.case(index)) {
            Some(FilterOutcome::Judged(judged)) => Ok(Some(judged.group)),
            Some(FilterOutcome::Failed { error }) => Err(error.clone()),
            Some(FilterOutcome::Unannotated) | None => Ok(None),
        }
    }

    /// The answer, and whether it was cut at the limit of tokens.
    fn answer(&self, sample: &Sample, study: &Study, question: &str) -> Result<(String, bool)> {
        match (self.plan.experiment.answer, sample.present) {
            (AnswerSource::Truth, Some(true)) => Ok(("Yes".to_owned(), false)),
            (AnswerSource::Truth, Some(false)) => Ok(("No".to_owned(), false)),
            (AnswerSource::Truth, None) => Err(Error::missing(
                "the dataset does not say whether the finding is present, so there is no right answer",
            )
            .with_hint("set `experiment.answer` to \"generated\"")),
            (AnswerSource::Recorded, _) => Err(Error::missing(format!(
                "the dataset `{}` has no answer of `{}` on record",
                self.cell.dataset, self.cell.model
            ))
            .with_hint("set `experiment.answer` to \"generated\"")),
            (AnswerSource::Generated, _) => {
                let limit = self.plan.max_new_tokens;
                let said = attribute::answer(&self.model.client(), study, question, limit)?;
                if said.text.trim().is_empty() {
                    return Err(Error::invalid("the model's answer is empty"));
                }
                Ok((said.text, !said.complete))
            }
        }
    }

    /// Tells the task which tokens its answer has; how likely that is without its image. Both where the model can say; that it failed
    /// to is only logged.
    ///
    /// # Errors
    ///
    /// [`Error::cancelled`].
    pub(super) fn read_out(&self, task: &mut Task) -> Result<Option<LanguagePrior>> {
        if !self.model_info.abilities.contains(&Ability::Score) {
            return Ok(None);
        }
        let (model, image, letterbox) = (self.model.client(), &task.image, &task.letterbox);
        let prior = self.plan.language_prior;
        match score(
            &model,
            image,
            letterbox,
            &task.question,
            &task.answer,
            prior,
        ) {
            Ok((tokens, prior)) => {
                let texts = tokens.into_iter().map(|scored| scored.token.text);
                task.tokens = texts.collect();
                Ok(prior)
            }
            Err(error) if error.kind == ErrorKind::Cancelled => Err(error),
            Err(error) => {
                tracing::warn!(
                    "the answer's tokens are not known, nor how likely they are without its image: {error}"
                );
                Ok(None)
            }
        }
    }

    /// Whether a sample is one of the first of its cell.
    fn among_first(&self, index: u64, samples: u64) -> bool {
        let rank = self.filtered.rank(self.cell, index);
        rank.is_some_and(|rank| rank < samples)
    }

    fn attribute(&self, index: u64, posed: &Posed) -> Result<Vec<MethodResult>> {
        let pictures = self
            .folder
            .filter(|_| self.among_first(index, self.plan.experiment.gallery))
            .map(|folder| folder.within(&["gallery", &self.cell.slug(), &index.to_string()]))
            .transpose()?;
        if let Some(pictures) = &pictures {
            let truth = working_truth(posed);
            let picture = overlay::thumbnail(&Thumbnail {
                truth: &truth,
                ..Thumbnail::of(&posed.task.image)
            });
            pictures.png_rgb("image.png", &picture)?;
        }
        let mut results = Vec::new();
        for (name, method) in &self.methods {
            self.bench.session.take_ledger();
            let begin = Instant::now();
            let found = explain(method, &posed.task, &self.plan.boxes);
            let seconds = begin.elapsed().as_secs_f64();
            let calls = self.bench.session.take_ledger();
            let outcome = match found {
                Err(error) if error.kind == ErrorKind::Cancelled => return Err(error),
                Err(error) => MethodOutcome::Failed { error },
                Ok(found) => {
                    if let Some(pictures) = &pictures {
                        self.draw(pictures, name, posed, &found)?;
                    }
                    self.keep_heat(index, name, &found)?;
                    self.score(index, posed, found)?
                }
            };
            let counts = calls
                .into_iter()
                .filter(|(operation, _)| operation != "method.attribute");
            results.push(MethodResult {
                method: name.clone(),
                outcome,
                calls: counts
                    .map(|(operation, calls)| (operation, Count::from(calls)))
                    .collect(),
                seconds,
            });
        }
        Ok(results)
    }

    fn score(&self, index: u64, posed: &Posed, found: Explained) -> Result<MethodOutcome> {
        let native: Vec<_> = found.boxes.iter().filter_map(|b| b.native).collect();
        let wanted = self.plan.experiment.curves.as_ref();
        let wanted = wanted.filter(|curves| self.among_first(index, curves.samples));
        let curves = match (&found.heat, wanted) {
            (Some(heat), Some(wanted)) => match self.curves(&posed.task, heat, wanted) {
                Ok(curves) => curves,
                Err(error) if error.kind == ErrorKind::Cancelled => return Err(error),
                Err(error) => return Ok(MethodOutcome::Failed { error }),
            },
            _ => None,
        };
        let mut warnings = found.warnings;
        let flips = match self.flips(index, posed, &found.boxes) {
            Err(error) if error.kind == ErrorKind::Cancelled => return Err(error),
            Err(error) => {
                warnings.push(format!(
                    "what an edit of the region does was not measured: {error}"
                ));
                None
            }
            Ok(flips) => flips,
        };
        let judged = Judged {
            flips,
            overlap: metrics::overlap(&native, &posed.subject.truth),
            heat: found.heat.as_ref(),
            truth: &working_truth(posed),
            curves,
        };
        let values = METRICS.iter().filter_map(|(metric, compute)| {
            let value = compute(&judged)?;
            Some((metric.name.to_owned(), value))
        });
        let metrics = values.collect();
        Ok(MethodOutcome::Scored {
            boxes: found.boxes,
            metrics,
            fallback: evidence::fell_back(&found.evidence),
            evidence: found.evidence,
            warnings,
        })
    }

    /// What editing the region does to the answer, if that is wanted of this sample.
    fn flips(&self, index: u64, posed: &Posed, boxes: &[BoxRecord]) -> Result<Option<Flips>> {
        let wanted = self.plan.experiment.flips.as_ref();
        let wanted = wanted.filter(|flips| self.among_first(index, flips.samples));
        let Some((flipper, _)) = self.flipper.as_ref().zip(wanted) else {
            return Ok(None);
        };
        let boxes: Vec<_> = boxes.iter().map(|b| b.working).collect();
        flipper.flips(&posed.task, &boxes)
    }

    /// The deletion and the insertion curve of the answer's mean token probability, to and from black; nothing if no token counts.
    fn curves(
        &self,
        task: &Task,
        heat: &HeatMap,
        wanted: &Curves,
    ) -> Result<Option<[Vec<f64>; 2]>> {
        let black = blank(&task.image, &task.letterbox);
        let finding = task.finding.as_deref();
        let finding =
            finding.filter(|_| wanted.tokens == Counted::Finding && task.mode != Mode::Direct);
        let curve = |from: &GrayImage, to: &GrayImage| -> Result<Option<Vec<f64>>> {
            let scores = self.model.client().score(&ScoreRequest::new(
                curves::images(heat, from, to, wanted.steps)?.collect(),
                task.question.clone(),
                task.answer.clone(),
            ))?;
            let log_probs = scores.log_probs.view_nd::<f32, Ix2>()?;
            let counted = match finding {
                Some(finding) => metrics::naming(&scores.tokens, finding),
                None => (0..log_probs.ncols()).collect(),
            };
            let log_probs = log_probs.select(Axis(1), &counted);
            let means = log_probs.rows().into_iter().map(mean_probability);
            Ok((!counted.is_empty()).then(|| means.collect()))
        };
        let Some(deletion) = curve(&task.image, &black)? else {
            return Ok(None);
        };
        Ok(curve(&black, &task.image)?.map(|insertion| [deletion, insertion]))
    }

    fn draw(&self, pictures: &OutDir, name: &str, posed: &Posed, found: &Explained) -> Result<()> {
        let boxes: Vec<_> = found.boxes.iter().map(|b| b.working).collect();
        let picture = overlay::thumbnail(&Thumbnail {
            working: &posed.task.image,
            heat: found.heat.as_ref(),
            mask: found.mask.as_ref(),
            concepts: Weighed::of(&found.evidence).as_ref(),
            found: &boxes,
            truth: &working_truth(posed),
        });
        pictures.png_rgb(&format!("{}.png", slug(name)), &picture)?;
        Ok(())
    }

    fn keep_heat(&self, index: u64, name: &str, found: &Explained) -> Result<()> {
        let wanted = self.folder.filter(|_| self.plan.experiment.heatmaps);
        if let (Some(folder), Some(heat)) = (wanted, &found.heat) {
            folder
                .within(&["heatmaps", &self.cell.slug(), &index.to_string()])?
                .npy(&format!("{}.npy", slug(name)), heat.view())?;
        }
        Ok(())
    }
}

/// A reader of one of the plan's datasets.
pub(super) fn reader(bench: &Workbench, plan: &Plan, name: &str) -> Result<Client> {
    let experiment = &plan.experiment;
    let planned = plan.datasets.iter().zip(&experiment.datasets);
    let tuning = plan
        .tuning
        .iter()
        .zip(experiment.tuning.iter().map(|t| &t.dataset));
    let config = planned
        .chain(tuning)
        .find(|(planned, _)| planned.name == name)
        .map(|(_, config)| config)
        .ok_or_else(|| Error::internal(format!("the plan has no dataset `{name}`")))?;
    let recipe = bench.plan_component(Kind::Dataset, &config.filling())?;
    Ok(bench.share(&recipe)?.client())
}

/// The annotated region in the working image.
fn working_truth(posed: &Posed) -> Vec<BBox<Working>> {
    let truth = posed.subject.truth.iter();
    truth
        .filter_map(|bbox| posed.task.letterbox.to_working(bbox))
        .collect()
}

fn exclusion(experiment: &Experiment, mode: Mode, subject: &Subject) -> Option<Exclusion> {
    if subject.truth.is_empty() {
        return Some(Exclusion::Unannotated);
    }
    if experiment.keep == Keep::Grounded && subject.group == Some(Group::Ungrounded) {
        return Some(Exclusion::Ungrounded);
    }
    let right = match subject.present {
        Some(true) => Verdict::Yes,
        Some(false) => Verdict::No,
        None => return None,
    };
    let judged = experiment.keep != Keep::All && mode != Mode::Open;
    if !judged || experiment.verdict.says(&subject.answer, right) {
        None
    } else if subject.verdict == Verdict::Undecided {
        Some(Exclusion::Undecided)
    } else {
        Some(Exclusion::Incorrect)
    }
}

/// The seed of a sample: the same for every model, mode and method, whatever order samples are done in.
pub(super) fn case_seed(seed: u64, dataset: &str, index: u64) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    hasher.update(&index.to_le_bytes());
    hasher.update(dataset.as_bytes());
    let mut seed = [0; 8];
    hasher.finalize_xof().fill(&mut seed);
    u64::from_le_bytes(seed)
}
