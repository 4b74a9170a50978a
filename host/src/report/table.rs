//! All numbers of a report, computed once: what every format prints.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use medfocus_plugin_api::{Mode, Result};

use super::{
    answers,
    checks::{self, Check},
    concepts::Concepts,
    failures::Failures,
    findings::{self, Finding},
    groups,
    measure::{Measure, measures},
    paper,
    prior::{self, Tally},
    reach::Reach,
    retention,
    row::{self, Row},
    scores::{Fate, Part, Scores, Wanted},
    sheet::Sheet,
};
use crate::{
    experiment::{
        plan::{Cell, Misfit, Plan, PlannedMethod},
        results::Results,
    },
    statistics::Bootstrap,
};

/// The tables of an experiment.
#[derive(Clone, Debug)]
pub struct Table {
    /// The columns.
    pub measures: Vec<Measure>,
    /// One for each dataset and mode, in the order of the plan.
    pub sections: Vec<Section>,
    /// What the causal filter kept, and why it dropped the rest.
    pub retention: Vec<Sheet>,
    /// The sanity checks.
    pub checks: Vec<Check>,
    /// What the models say without their image, where that was checked.
    pub answers: Option<Sheet>,
    /// What failed.
    pub failures: Failures,
    /// The digests that the records of each model hold: one, unless something went wrong.
    pub digests: BTreeMap<String, BTreeSet<String>>,
}

/// A dataset and a mode.
#[derive(Clone, Debug)]
pub struct Section {
    /// The dataset.
    pub dataset: String,
    /// The mode.
    pub mode: Mode,
    /// Where there are several models, first all of them pooled, then each; else the one.
    pub groups: Vec<Group>,
}

/// What is averaged over.
#[derive(Clone, Debug)]
pub struct Group {
    /// The model; nothing for all of them pooled.
    pub model: Option<String>,
    /// What became of the samples.
    pub accounting: Accounting,
    /// The methods, the controls last.
    pub rows: Vec<Row>,
    /// The methods that fit no model of the group.
    pub misfits: Vec<Misfit>,
    /// IoU by finding.
    pub findings: Vec<Finding>,
    /// What is the evidence how often.
    pub concepts: Concepts,
    /// How far the methods could get with their concepts.
    pub reach: Vec<Reach>,
    /// The methods by what the causal filter proved, where others than its grounded samples were explained.
    pub groups: Option<Sheet>,
    /// How many answers need no image, where the models could say.
    pub prior: Option<Sheet>,
    /// The methods beside the paper's figures, where the experiment repeats them.
    pub paper: Option<Sheet>,
}

/// What became of the samples of a group; a sample counts once for each model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accounting {
    /// Samples of the plan.
    pub planned: u64,
    /// Samples with a record.
    pub recorded: u64,
    /// Whose answer is wrong.
    pub incorrect: u64,
    /// Whose answer says neither yes nor no.
    pub undecided: u64,
    /// Whose answer is right, but not proven to be caused by the annotated region.
    pub ungrounded: u64,
    /// Without an annotated region.
    pub unannotated: u64,
    /// That could not be read or answered.
    pub failed: u64,
    /// Whose explanations the tables are of.
    pub explained: u64,
    /// Of these, whose answer was cut at the limit of tokens.
    pub cut: u64,
    /// Patients of these, drawn as a whole.
    pub patients: u64,
    /// Images of these whose patient is not known, drawn as a whole.
    pub images: u64,
}

impl Accounting {
    fn new(cells: &[&Cell], samples: &Part<'_>) -> Self {
        let mut accounting = Self {
            planned: cells.iter().map(|cell| cell.samples).sum(),
            ..Self::default()
        };
        let mut clusters = Vec::new();
        for sample in samples.samples() {
            accounting.recorded += 1;
            *match sample.fate {
                Fate::Explained => {
                    accounting.cut += u64::from(sample.cut);
                    clusters.push(sample.cluster);
                    &mut accounting.explained
                }
                Fate::Incorrect => &mut accounting.incorrect,
                Fate::Undecided => &mut accounting.undecided,
                Fate::Ungrounded => &mut accounting.ungrounded,
                Fate::Unannotated => &mut accounting.unannotated,
                Fate::Failed => &mut accounting.failed,
            } += 1;
        }
        clusters.sort_unstable();
        clusters.dedup();
        let patients = clusters
            .iter()
            .filter(|cluster| cluster.is_patient())
            .count();
        accounting.patients = patients as u64;
        accounting.images = (clusters.len() - patients) as u64;
        accounting
    }
}

impl Table {
    /// Computes the tables, with intervals and comparisons from so many resamples. What does not fit into memory is in a
    /// file without a name in this folder.
    ///
    /// # Errors
    ///
    /// A record cannot be read, or the disk fails.
    pub fn new(results: &Results, folder: &Path, resamples: usize) -> Result<Self> {
        let plan = &results.plan;
        let bootstrap = Bootstrap {
            resamples,
            seed: plan.seed,
        };
        let measures = measures();
        let mut scores = Scores::new(results, &measures, folder)?;
        let mut failures = Failures::default();
        let mut digests: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut priors = Vec::new();
        for cell in &plan.cells {
            scores.begin(cell);
            let mut tally = Tally::default();
            for record in results.records.of(cell, |_| true) {
                let record = record?;
                scores.add(&record)?;
                failures.add(&record);
                tally.add(&record);
                let known = digests.entry(record.case.model).or_default();
                known.insert(record.model_digest);
            }
            priors.push(tally);
        }
        scores.end();
        results
            .sanity
            .iter()
            .for_each(|check| failures.add_check(check));
        let make = Make {
            plan,
            scores: &scores,
            priors: &priors,
            measures: &measures,
            bootstrap,
        };
        let mut sections: Vec<Section> = Vec::new();
        // Without methods there is only what the filter found.
        for cell in plan.cells.iter().filter(|_| !plan.methods.is_empty()) {
            let same = |s: &Section| s.dataset == cell.dataset && s.mode == cell.mode;
            if !sections.iter().any(same) {
                sections.push(make.section(cell)?);
            }
        }
        Ok(Self {
            sections,
            retention: retention::sheets(results, bootstrap)?,
            checks: checks::checks(results),
            answers: answers::sheet(&results.sanity),
            failures,
            digests,
            measures,
        })
    }
}

impl Section {
    /// What stands for the section: all models pooled, or the only one.
    pub fn leading(&self) -> &Group {
        &self.groups[0]
    }
}

impl Group {
    /// The measures that have a value in any row, by their places.
    pub fn measured(&self, measures: &[Measure]) -> Vec<usize> {
        let any = |at: &usize| self.rows.iter().any(|row| row.values[*at].is_some());
        (0..measures.len()).filter(any).collect()
    }
}

struct Make<'a> {
    plan: &'a Plan,
    scores: &'a Scores<'a>,
    /// Of each cell.
    priors: &'a [Tally],
    measures: &'a [Measure],
    bootstrap: Bootstrap,
}

impl Make<'_> {
    /// The dataset and mode of a cell.
    fn section(&self, first: &Cell) -> Result<Section> {
        let cells = self.plan.cells.iter();
        let cells: Vec<&Cell> = cells
            .filter(|cell| cell.dataset == first.dataset && cell.mode == first.mode)
            .collect();
        let pooled = (cells.len() > 1).then(|| self.group(None, &cells));
        let each = cells
            .iter()
            .map(|cell| self.group(Some(cell.model.clone()), &[cell]));
        Ok(Section {
            dataset: first.dataset.clone(),
            mode: first.mode,
            groups: pooled.into_iter().chain(each).collect::<Result<_>>()?,
        })
    }

    /// What the models of these cells make of their questions alone.
    fn prior(&self, cells: &[&Cell]) -> Option<Sheet> {
        let own = |cell: &Cell| cells.iter().any(|other| std::ptr::eq(cell, *other));
        let priors = self.plan.cells.iter().zip(self.priors);
        let priors = priors.filter(|(cell, _)| own(cell));
        prior::sheet(priors.map(|(cell, tally)| (cell.model.as_str(), tally)))
    }

    fn group(&self, model: Option<String>, cells: &[&Cell]) -> Result<Group> {
        let samples = self.scores.of(cells);
        let methods = self.plan.methods.iter();
        let mut methods: Vec<&PlannedMethod> = methods
            .filter(|method| cells.iter().any(|cell| fits(&method.name, cell)))
            .collect();
        methods.sort_by_key(|method| self.plan.place(&method.name));
        let names = || methods.iter().map(|method| method.name.as_str());
        let mut rows = row::rows(self.plan, &methods, &samples, self.measures, self.bootstrap)?;
        for row in &mut rows {
            let others = cells.iter().filter(|cell| !fits(&row.method, cell));
            row.without = others.map(|cell| cell.model.clone()).collect();
        }
        let paper = cells.first().filter(|_| self.plan.experiment.paper);
        let paper = paper.and_then(|cell| {
            paper::methods(
                &cell.dataset,
                cell.mode,
                model.as_deref(),
                &rows,
                self.measures,
            )
        });
        let (mut named, mut reach) = (Vec::new(), Vec::new());
        for name in names() {
            let results = samples.results(name, Wanted::Explained);
            named.push((name, results.named()?));
            reach.extend(Reach::of(name, &results.reached()?));
        }
        Ok(Group {
            model,
            accounting: Accounting::new(cells, &samples),
            groups: groups::sheet(self.plan, names(), &samples, self.measures)?,
            paper,
            prior: self.prior(cells),
            concepts: Concepts::new(named),
            reach,
            findings: findings::findings(&rows, &samples)?,
            misfits: misfits(cells),
            rows,
        })
    }
}

fn fits(method: &str, cell: &Cell) -> bool {
    cell.methods.iter().any(|name| name == method)
}

/// The methods that fit none of the cells, each with the first reason.
fn misfits(cells: &[&Cell]) -> Vec<Misfit> {
    let mut misfits: Vec<Misfit> = Vec::new();
    for misfit in cells.iter().flat_map(|cell| &cell.misfits) {
        let known = misfits.iter().any(|known| known.method == misfit.method);
        if !known && !cells.iter().any(|cell| fits(&misfit.method, cell)) {
            misfits.push(misfit.clone());
        }
    }
    misfits
}
