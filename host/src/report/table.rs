//! All numbers of a report, computed once: what every format prints.

use std::collections::BTreeSet;

use medfocus_plugin_api::Mode;

use super::{
    answers,
    checks::{self, Check},
    concepts::Concepts,
    failures::{self, Failure},
    findings::{self, Finding},
    groups,
    measure::{Measure, measures},
    paper, prior,
    reach::Reach,
    retention,
    row::{self, Row},
    scores::Cluster,
    sheet::Sheet,
};
use crate::{
    causal::gate::Group as Proven,
    experiment::{
        plan::{Cell, Misfit, PlannedMethod},
        record::{Exclusion, Outcome, Record},
        results::Results,
    },
    statistics::Bootstrap,
    verdict::Verdict,
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
    pub failures: Vec<Failure>,
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
    fn new(cells: &[&Cell], records: &[&Record]) -> Self {
        let mut accounting = Self {
            planned: cells.iter().map(|cell| cell.samples).sum(),
            recorded: records.len() as u64,
            ..Self::default()
        };
        let clusters = Cluster::of(records).into_iter().zip(records);
        let explained = clusters
            .filter(|(_, record)| counts(record))
            .map(|(cluster, _)| cluster);
        for cluster in BTreeSet::from_iter(explained) {
            match cluster {
                Cluster::Patient(_) => accounting.patients += 1,
                Cluster::Image(_) | Cluster::Sample(_) => accounting.images += 1,
            }
        }
        for record in records {
            let subject = record.subject.as_ref();
            let cut = subject.is_some_and(|subject| subject.cut);
            accounting.cut += u64::from(counts(record) && cut);
            let undecided = subject.is_some_and(|s| s.verdict == Verdict::Undecided);
            *match &record.outcome {
                Outcome::Attributed { .. } => match subject.and_then(|subject| subject.group) {
                    None | Some(Proven::Grounded) => &mut accounting.explained,
                    Some(Proven::Ungrounded) => &mut accounting.ungrounded,
                    Some(Proven::Incorrect) if undecided => &mut accounting.undecided,
                    Some(Proven::Incorrect) => &mut accounting.incorrect,
                },
                Outcome::Failed { .. } => &mut accounting.failed,
                Outcome::Excluded { reason } => match reason {
                    Exclusion::Incorrect => &mut accounting.incorrect,
                    Exclusion::Undecided => &mut accounting.undecided,
                    Exclusion::Ungrounded => &mut accounting.ungrounded,
                    Exclusion::Unannotated => &mut accounting.unannotated,
                },
            } += 1;
        }
        accounting
    }
}

/// Whether the tables count a record's explanations: where a filter judged the sample, only if it is grounded.
fn counts(record: &Record) -> bool {
    let group = record.subject.as_ref().and_then(|subject| subject.group);
    matches!(record.outcome, Outcome::Attributed { .. })
        && group.is_none_or(|group| group == Proven::Grounded)
}

impl Table {
    /// Computes the tables, with intervals and comparisons from so many resamples.
    pub fn new(results: &Results, resamples: usize) -> Self {
        let measures = measures();
        let make = Make {
            results,
            measures: &measures,
            bootstrap: Bootstrap {
                resamples,
                seed: results.plan.seed,
            },
        };
        let mut sections: Vec<Section> = Vec::new();
        // Without methods there is only what the filter found.
        let cells = results.plan.cells.iter();
        for cell in cells.filter(|_| !results.plan.methods.is_empty()) {
            let same = |s: &Section| s.dataset == cell.dataset && s.mode == cell.mode;
            if !sections.iter().any(same) {
                sections.push(make.section(cell));
            }
        }
        Self {
            sections,
            retention: retention::sheets(results, make.bootstrap),
            checks: checks::checks(results),
            answers: answers::sheet(&results.sanity),
            failures: failures::failures(results),
            measures,
        }
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
    results: &'a Results,
    measures: &'a [Measure],
    bootstrap: Bootstrap,
}

impl Make<'_> {
    /// The dataset and mode of a cell.
    fn section(&self, first: &Cell) -> Section {
        let cells = self.results.plan.cells.iter();
        let cells: Vec<&Cell> = cells
            .filter(|cell| cell.dataset == first.dataset && cell.mode == first.mode)
            .collect();
        let pooled = (cells.len() > 1).then(|| self.group(None, &cells));
        let each = cells
            .iter()
            .map(|cell| self.group(Some(cell.model.clone()), &[cell]));
        Section {
            dataset: first.dataset.clone(),
            mode: first.mode,
            groups: pooled.into_iter().chain(each).collect(),
        }
    }

    fn group(&self, model: Option<String>, cells: &[&Cell]) -> Group {
        let records = self.results.records.iter();
        let records: Vec<&Record> = records
            .filter(|record| cells.iter().any(|cell| belongs(record, cell)))
            .collect();
        let methods = self.results.plan.methods.iter();
        let mut methods: Vec<&PlannedMethod> = methods
            .filter(|method| cells.iter().any(|cell| fits(&method.name, cell)))
            .collect();
        methods.sort_by_key(|method| self.results.plan.place(&method.name));
        let accounting = Accounting::new(cells, &records);
        let groups = groups::sheet(
            &self.results.plan,
            methods.iter().map(|method| method.name.as_str()),
            &records,
            self.measures,
        );
        let records: Vec<&Record> = records.into_iter().filter(|r| counts(r)).collect();
        let mut rows = row::rows(
            &self.results.plan,
            &methods,
            &records,
            self.measures,
            self.bootstrap,
        );
        for row in &mut rows {
            let others = cells.iter().filter(|cell| !fits(&row.method, cell));
            row.without = others.map(|cell| cell.model.clone()).collect();
        }
        let paper = cells.first().filter(|_| self.results.plan.experiment.paper);
        let paper = paper.and_then(|cell| {
            paper::methods(
                &cell.dataset,
                cell.mode,
                model.as_deref(),
                &rows,
                self.measures,
            )
        });
        Group {
            model,
            accounting,
            groups,
            paper,
            prior: prior::sheet(&records),
            concepts: Concepts::new(rows.iter().map(|row| row.method.as_str()), &records),
            reach: rows
                .iter()
                .filter_map(|row| Reach::of(&row.method, &records))
                .collect(),
            findings: findings::findings(&rows, &records, &self.measures[0]),
            misfits: misfits(cells),
            rows,
        }
    }
}

fn belongs(record: &Record, cell: &Cell) -> bool {
    let case = &record.case;
    case.dataset == cell.dataset && case.model == cell.model && case.mode == cell.mode
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
