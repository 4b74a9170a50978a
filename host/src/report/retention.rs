//! What the causal filter kept and why it dropped the rest.

use std::collections::{BTreeMap, BTreeSet};

use medfocus_plugin_api::{Mode, Result};

use super::{
    cluster::Cluster,
    paper,
    sheet::Sheet,
    text::{interval, number},
};
use crate::{
    causal::{
        gate::{Group, Role},
        record::{Draw, FilterOutcome, FilterRecord, Judgement, Rule, Tried},
    },
    experiment::{config::Filter, plan::Plan, results::Results},
    statistics::{Bootstrap, Summary},
    verdict::Verdict,
};

const RETENTION: &str = "Of the samples that were judged, the percentage answered wrongly (or neither yes nor no), answered \
    rightly without proof that the annotated region causes the answer, and grounded: the answer turns to no when the region is \
    edited to show no finding, and stays yes when all else is (the paper's Table 3).";
const PROOF: &str = "Over the samples answered rightly, by the editor that decides. Necessity is the probability of yes \
    that is lost when the region is edited, sufficiency the probability of yes that is left when all else is, both when asked \
    directly, with 95 % bootstrap intervals. A sham edit changes the region in the same way but is to show what was there: where \
    it turns the answer nearly as often as the real edit, the filter proves little. An edit that changes the other side, or \
    nothing, is not as asked.";
const EDITORS: &str = "What each editor would have kept of the samples answered rightly. Precision and recall count against \
    the reference, percent: of what the editor keeps, how much the reference proves; and of what the reference proves, how \
    much the editor keeps.";
const DROPPED: &str = "A sample that fails several gates counts once for each.";

/// What the filter found of the samples of a cell.
#[derive(Default)]
struct Tally {
    judged: usize,
    groups: BTreeMap<Group, usize>,
    undecided: usize,
    unannotated: usize,
    failed: usize,
    reasons: BTreeMap<String, usize>,
    /// Of the samples that are answered rightly, by the first draw of the editor that decides.
    right: usize,
    /// How many images of each role turn the answer, of how many.
    turned: BTreeMap<Role, (usize, usize)>,
    odd: usize,
    images: usize,
    necessity: Vec<(Cluster, f64)>,
    sufficiency: Vec<(Cluster, f64)>,
    /// By editor, how often it and the reference prove a sample, if there is a reference.
    editors: BTreeMap<(String, bool, Option<bool>), usize>,
}

impl Tally {
    fn of(
        records: impl Iterator<Item = Result<FilterRecord>>,
        filter: &Filter,
        rule: Rule,
    ) -> Result<Self> {
        let mut tally = Self::default();
        for record in records {
            match record?.outcome {
                FilterOutcome::Judged(judged) => tally.add(&judged, filter, rule),
                FilterOutcome::Unannotated => tally.unannotated += 1,
                FilterOutcome::Failed { .. } => tally.failed += 1,
            }
        }
        Ok(tally)
    }

    fn add(&mut self, judged: &Judgement, filter: &Filter, rule: Rule) {
        self.judged += 1;
        *self.groups.entry(judged.group).or_default() += 1;
        for reason in judged.dropped(rule) {
            *self.reasons.entry(reason).or_default() += 1;
        }
        let proves = |tried: &Tried| tried.group == Group::Grounded;
        let reference = filter.reference.as_deref();
        let reference = judged
            .editors
            .iter()
            .find(|tried| reference == Some(&tried.editor));
        for tried in &judged.editors {
            let key = (tried.editor.clone(), proves(tried), reference.map(proves));
            *self.editors.entry(key).or_default() += 1;
        }
        if judged.group == Group::Incorrect {
            let verdict = judged.original.verdict;
            self.undecided += usize::from(verdict == Verdict::Undecided);
        } else if let Some(draw) = judged.deciding().and_then(|tried| tried.draws.first()) {
            self.right(judged, draw);
        }
    }

    fn right(&mut self, judged: &Judgement, draw: &Draw) {
        self.right += 1;
        for (role, image) in &draw.images {
            let (turned, shown) = self.turned.entry(*role).or_default();
            *turned += usize::from(image.reply.verdict == Verdict::No);
            *shown += 1;
            self.odd += usize::from(!image.edit.verified);
            self.images += 1;
        }
        let cluster = match &judged.patient {
            Some(patient) => Cluster::patient(patient),
            None => Cluster::image(&judged.image),
        };
        let value = |value: Option<f64>| value.map(|value| (cluster, value));
        self.necessity.extend(value(necessity(judged, draw)));
        self.sufficiency.extend(value(sufficiency(draw)));
    }
}

/// The cells of one dataset and mode that a line is about: of one model, or of all.
struct Line<'a> {
    dataset: &'a str,
    mode: Mode,
    /// Nothing for all models pooled.
    model: Option<&'a str>,
    tallies: Vec<&'a Tally>,
}

impl Line<'_> {
    fn names(&self) -> Vec<String> {
        let model = self.model.unwrap_or("all");
        [self.dataset, self.mode.name(), model]
            .map(str::to_owned)
            .into()
    }

    fn sum(&self, of: impl Fn(&Tally) -> usize) -> usize {
        self.tallies.iter().map(|tally| of(tally)).sum()
    }
}

const NAMES: [&str; 3] = ["Dataset", "Mode", "Model"];

/// The tables of the filter; none without one.
///
/// # Errors
///
/// A record cannot be read.
pub fn sheets(results: &Results, bootstrap: Bootstrap) -> Result<Vec<Sheet>> {
    let plan = &results.plan;
    let Some(filter) = &plan.experiment.filter else {
        return Ok(Vec::new());
    };
    if results.filter.is_empty() {
        return Ok(Vec::new());
    }
    let rule = Rule::new(filter, plan.experiment.verdict);
    let tallies = plan.cells.iter().map(|cell| {
        let records = results.filter.of(cell, |_| true);
        Tally::of(records, filter, rule)
    });
    let tallies: Vec<Tally> = tallies.collect::<Result<_>>()?;
    let lines = lines(plan, &tallies);
    let sheets = [
        retention(plan, &lines),
        proof(&lines, bootstrap),
        dropped(&lines),
        editors(plan, &lines),
    ];
    Ok(sheets.into_iter().filter_map(Sheet::some).collect())
}

fn lines<'a>(plan: &'a Plan, tallies: &'a [Tally]) -> Vec<Line<'a>> {
    let mut seen = BTreeSet::new();
    let mut lines = Vec::new();
    for first in &plan.cells {
        if !seen.insert((first.dataset.as_str(), first.mode.name())) {
            continue;
        }
        let cells = plan.cells.iter().zip(tallies);
        let cells = cells
            .filter(|(cell, _)| cell.dataset == first.dataset && cell.mode == first.mode)
            .map(|(cell, tally)| (cell.model.as_str(), tally));
        let cells: Vec<(&str, &Tally)> = cells.collect();
        let line = |model, tallies| Line {
            dataset: &first.dataset,
            mode: first.mode,
            model,
            tallies,
        };
        if cells.len() > 1 {
            lines.push(line(None, cells.iter().map(|(_, tally)| *tally).collect()));
        }
        let each = cells.into_iter();
        lines.extend(each.map(|(model, tally)| line(Some(model), vec![tally])));
    }
    lines
}

fn retention(plan: &Plan, lines: &[Line<'_>]) -> Sheet {
    let groups = Group::ALL.map(Group::words);
    let mut columns = [
        &["Judged"],
        &groups[..],
        &["Undecided", "Unannotated", "Failed"],
    ]
    .concat();
    let published = groups.map(|group| format!("paper: {group}"));
    if plan.experiment.paper {
        columns.extend(published.iter().map(String::as_str));
    }
    let mut sheet = Sheet::new("Retention", RETENTION, &NAMES, &columns);
    for line in lines {
        let judged = line.sum(|tally| tally.judged);
        let mut row = line.names();
        row.push(judged.to_string());
        for group in Group::ALL {
            let of = |tally: &Tally| tally.groups.get(&group).copied();
            row.push(share(
                line.sum(|tally| of(tally).unwrap_or_default()),
                judged,
            ));
        }
        for count in [
            line.sum(|tally| tally.undecided),
            line.sum(|tally| tally.unannotated),
            line.sum(|tally| tally.failed),
        ] {
            row.push(count.to_string());
        }
        if plan.experiment.paper {
            let model = line.model.unwrap_or_default();
            let of = |group| paper::retention(line.dataset, line.mode, model, group);
            row.extend(Group::ALL.map(|group| of(group).map(number).unwrap_or_default()));
        }
        sheet.rows.push(row);
    }
    sheet
}

fn proof(lines: &[Line<'_>], bootstrap: Bootstrap) -> Sheet {
    let columns = [
        "Right",
        "Edit turns to no",
        "Sham turns to no",
        "Necessity",
        "Sufficiency",
        "Edits not as asked",
    ];
    let mut sheet = Sheet::new("What the edits prove", PROOF, &NAMES, &columns);
    for line in lines {
        let turned = |role: Role| {
            let of = |tally: &Tally| tally.turned.get(&role).copied().unwrap_or_default();
            share(line.sum(|tally| of(tally).0), line.sum(|tally| of(tally).1))
        };
        let probability = |of: fn(&Tally) -> &[(Cluster, f64)]| {
            let values = line.tallies.iter().flat_map(|tally| of(tally));
            summary(bootstrap.summary(values.copied()))
        };
        let (odd, images) = (line.sum(|tally| tally.odd), line.sum(|tally| tally.images));
        let mut row = line.names();
        row.extend([
            line.sum(|tally| tally.right).to_string(),
            turned(Role::Edited),
            turned(Role::Sham),
            probability(|tally| &tally.necessity),
            probability(|tally| &tally.sufficiency),
            format!("{odd} of {images}"),
        ]);
        sheet.rows.push(row);
    }
    sheet
}

/// The probability of yes that is lost when the region is edited.
fn necessity(judged: &Judgement, draw: &Draw) -> Option<f64> {
    Some(judged.original.yes? - draw.images.get(&Role::Edited)?.reply.yes?)
}

/// The probability of yes that is left when all but the region is edited: the mean of both ways.
fn sufficiency(draw: &Draw) -> Option<f64> {
    let yes = |role| draw.images.get(&role)?.reply.yes;
    Some(0.5 * (yes(Role::EditedKept)? + yes(Role::EditedKeptNormal)?))
}

fn dropped(lines: &[Line<'_>]) -> Sheet {
    let names = ["Dataset", "Mode", "Model", "Reason"];
    let mut sheet = Sheet::new("Why samples were dropped", DROPPED, &names, &["Samples"]);
    for line in lines.iter().filter(|line| line.model.is_some()) {
        for (reason, count) in line.tallies.iter().flat_map(|tally| &tally.reasons) {
            let counted = [reason.clone(), count.to_string()];
            let row = line.names().into_iter().chain(counted);
            sheet.rows.push(row.collect());
        }
    }
    sheet
}

fn editors(plan: &Plan, lines: &[Line<'_>]) -> Sheet {
    let names = ["Dataset", "Mode", "Model", "Editor"];
    let columns = ["Draws", "Right", "Kept", "Precision", "Recall"];
    let mut sheet = Sheet::new("Editors", EDITORS, &names, &columns);
    if plan.editors.len() < 2 {
        return sheet;
    }
    for line in lines {
        for editor in &plan.editors {
            // How many samples of which it is so that the editor, and that the reference, proves them.
            let count = |wanted: fn(bool, Option<bool>) -> bool| {
                line.sum(|tally| {
                    let own = tally.editors.iter();
                    let own = own.filter(|((name, ours, reference), _)| {
                        *name == editor.name && wanted(*ours, *reference)
                    });
                    own.map(|(_, count)| count).sum()
                })
            };
            let both = count(|ours, reference| ours && reference == Some(true));
            let mut row = line.names();
            row.extend([
                editor.name.clone(),
                editor.draws.to_string(),
                count(|_, _| true).to_string(),
                count(|ours, _| ours).to_string(),
                share(both, count(|ours, reference| ours && reference.is_some())),
                share(both, count(|_, reference| reference == Some(true))),
            ]);
            sheet.rows.push(row);
        }
    }
    sheet
}

/// A count as a percentage; nothing of nothing.
fn share(count: usize, of: usize) -> String {
    if of == 0 {
        return String::new();
    }
    number(100.0 * count as f64 / of as f64)
}

fn summary(summary: Option<Summary>) -> String {
    let Some(summary) = summary else {
        return String::new();
    };
    let ends = interval(&summary).map(|ends| format!(" ({ends})"));
    number(summary.mean) + &ends.unwrap_or_default()
}
