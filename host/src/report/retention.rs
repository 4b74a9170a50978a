//! What the causal filter kept and why it dropped the rest.

use std::collections::{BTreeMap, BTreeSet};

use medfocus_plugin_api::Mode;

use super::{
    paper,
    sheet::Sheet,
    text::{interval, number},
};
use crate::{
    causal::{
        gate::{Group, Role},
        record::{Draw, FilterOutcome, FilterRecord, Judgement, Rule},
    },
    experiment::{
        plan::{Cell, Plan},
        record::Recorded,
        results::Results,
    },
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

/// The cells of one dataset and mode that a line is about: of one model, or of all.
struct Line<'a> {
    dataset: &'a str,
    mode: Mode,
    /// Nothing for all models pooled.
    model: Option<&'a str>,
    records: Vec<&'a FilterRecord>,
}

impl Line<'_> {
    fn names(&self) -> Vec<String> {
        let model = self.model.unwrap_or("all");
        [self.dataset, self.mode.name(), model]
            .map(str::to_owned)
            .into()
    }

    fn judged(&self) -> impl Iterator<Item = &Judgement> {
        self.records.iter().filter_map(|record| record.judgement())
    }

    /// The samples that are answered rightly, each with the first draw of the editor that decides.
    fn right(&self) -> impl Iterator<Item = (&Judgement, &Draw)> {
        let right = self
            .judged()
            .filter(|judged| judged.group != Group::Incorrect);
        right.filter_map(|judged| Some((judged, judged.deciding()?.draws.first()?)))
    }
}

const NAMES: [&str; 3] = ["Dataset", "Mode", "Model"];

/// The tables of the filter; none without one.
pub fn sheets(results: &Results, bootstrap: Bootstrap) -> Vec<Sheet> {
    let experiment = &results.plan.experiment;
    let Some(filter) = &experiment.filter else {
        return Vec::new();
    };
    let lines = lines(&results.plan, &results.filter);
    let sheets = [
        retention(&results.plan, &lines),
        proof(&lines, bootstrap),
        dropped(&lines, Rule::new(filter, experiment.verdict)),
        editors(&results.plan, &lines),
    ];
    sheets.into_iter().filter_map(Sheet::some).collect()
}

fn lines<'a>(plan: &'a Plan, records: &'a [FilterRecord]) -> Vec<Line<'a>> {
    let mut seen = BTreeSet::new();
    let mut lines = Vec::new();
    if records.is_empty() {
        return lines;
    }
    for first in &plan.cells {
        if !seen.insert((first.dataset.as_str(), first.mode.name())) {
            continue;
        }
        let same = |cell: &&Cell| cell.dataset == first.dataset && cell.mode == first.mode;
        let models: Vec<&str> = plan
            .cells
            .iter()
            .filter(same)
            .map(|cell| &*cell.model)
            .collect();
        let all = (models.len() > 1).then_some(None);
        for model in all.into_iter().chain(models.into_iter().map(Some)) {
            let belongs = |record: &&FilterRecord| {
                let case = &record.case;
                (&case.dataset, case.mode) == (&first.dataset, first.mode)
                    && model.is_none_or(|model| case.model == model)
            };
            lines.push(Line {
                dataset: &first.dataset,
                mode: first.mode,
                model,
                records: records.iter().filter(belongs).collect(),
            });
        }
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
        let judged = line.judged().count();
        let mut row = line.names();
        row.push(judged.to_string());
        for group in Group::ALL {
            let count = line.judged().filter(|judged| judged.group == group).count();
            row.push(share(count, judged));
        }
        let undecided = line.judged().filter(|judged| {
            judged.group == Group::Incorrect && judged.original.verdict == Verdict::Undecided
        });
        row.push(undecided.count().to_string());
        let unannotated = line.records.iter();
        let unannotated = unannotated.filter(|r| r.outcome == FilterOutcome::Unannotated);
        row.push(unannotated.count().to_string());
        let failed = line
            .records
            .iter()
            .filter(|record| record.error().is_some());
        row.push(failed.count().to_string());
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
        let right = line.right().count();
        let turned = |role: Role| {
            let shown = line.right().filter_map(|(_, draw)| draw.images.get(&role));
            let said: Vec<Verdict> = shown.map(|image| image.reply.verdict).collect();
            let turned = said
                .iter()
                .filter(|verdict| **verdict == Verdict::No)
                .count();
            share(turned, said.len())
        };
        let probability = |of: fn(&Judgement, &Draw) -> Option<f64>| {
            let values = line.right();
            let values = values.filter_map(|(judged, draw)| {
                let cluster = judged.patient.as_deref().unwrap_or(&judged.image);
                Some((cluster, of(judged, draw)?))
            });
            summary(bootstrap.summary(values))
        };
        let images = line.right().flat_map(|(_, draw)| draw.images.values());
        let verified: Vec<bool> = images.map(|image| image.edit.verified).collect();
        let odd = verified.iter().filter(|verified| !**verified).count();
        let mut row = line.names();
        row.extend([
            right.to_string(),
            turned(Role::Edited),
            turned(Role::Sham),
            probability(necessity),
            probability(sufficiency),
            format!("{odd} of {}", verified.len()),
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
fn sufficiency(_: &Judgement, draw: &Draw) -> Option<f64> {
    let yes = |role| draw.images.get(&role)?.reply.yes;
    Some(0.5 * (yes(Role::EditedKept)? + yes(Role::EditedKeptNormal)?))
}

fn dropped(lines: &[Line<'_>], rule: Rule) -> Sheet {
    let names = ["Dataset", "Mode", "Model", "Reason"];
    let mut sheet = Sheet::new("Why samples were dropped", DROPPED, &names, &["Samples"]);
    for line in lines.iter().filter(|line| line.model.is_some()) {
        let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
        for reason in line.judged().flat_map(|judged| judged.dropped(rule)) {
            *reasons.entry(reason).or_default() += 1;
        }
        for (reason, count) in reasons {
            let row = line.names().into_iter().chain([reason, count.to_string()]);
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
    let filter = plan.experiment.filter.as_ref();
    let reference = filter.and_then(|filter| filter.reference.as_deref());
    for line in lines {
        for editor in &plan.editors {
            // Whether the editor, and whether the reference, proves each sample.
            let proves = |judged: &Judgement, name: &str| {
                let tried = judged.editors.iter().find(|tried| tried.editor == name);
                tried.map(|tried| tried.group == Group::Grounded)
            };
            let ours: Vec<(bool, Option<bool>)> = line
                .judged()
                .filter_map(|judged| {
                    let reference = reference.and_then(|name| proves(judged, name));
                    Some((proves(judged, &editor.name)?, reference))
                })
                .collect();
            let count = |wanted: fn(&(bool, Option<bool>)) -> bool| {
                ours.iter().filter(|pair| wanted(pair)).count()
            };
            let both = count(|pair| *pair == (true, Some(true)));
            let mut row = line.names();
            row.extend([
                editor.name.clone(),
                editor.draws.to_string(),
                ours.len().to_string(),
                count(|(ours, _)| *ours).to_string(),
                share(
                    both,
                    count(|(ours, reference)| *ours && reference.is_some()),
                ),
                share(both, count(|(_, reference)| *reference == Some(true))),
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
