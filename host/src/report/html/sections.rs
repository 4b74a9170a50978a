//! The parts of the page that show tables.

use maud::{Markup, html};

use super::{
    concepts, effects,
    methods::{self, name, rows, value},
    text::breakable,
};
use crate::{
    experiment::record::Change,
    metrics::Category,
    report::{
        checks::Check,
        headline,
        markdown::CHECKS,
        row::Row,
        sheet::Sheet,
        table::{Accounting, Group, Section, Table},
        text::{self, count, number},
    },
};

/// A dataset and mode: the sentence, the tables, the findings, then model by model.
pub fn section(table: &Table, section: &Section) -> Markup {
    let leading = section.leading();
    html! {
        article {
            h3 { (section.dataset) span.mode { (section.mode.name()) } }
            p.finding { (headline::finding(leading)) }
            @for sentence in headline::effects(leading) { p.finding { (sentence) } }
            (group(table, section, leading))
            @if !leading.findings.is_empty() {
                h4 { "IoU by finding" }
                (findings(section, leading))
            }
            @if section.groups.len() > 1 {
                details.models {
                    summary { "Model by model" }
                    @for each in &section.groups[1..] {
                        h4 { (each.model.as_deref().unwrap_or_default()) }
                        (group(table, section, each))
                    }
                }
            }
        }
    }
}

fn group(table: &Table, section: &Section, group: &Group) -> Markup {
    let model = group.model.as_deref().unwrap_or("all models");
    let whose = format!("{}, {}, {model}", section.dataset, section.mode.name());
    html! {
        (accounting(&group.accounting))
        (methods::agreement(table, group, &whose))
        (effects::table(group, &whose))
        (methods::beyond(table, group, &whose))
        (concepts::shares(&group.concepts, &whose))
        (concepts::reach(&group.reach, &whose))
        @for extra in [&group.prior, &group.paper, &group.groups].into_iter().flatten() { (sheet(extra, &whose)) }
    }
}

/// What the causal filter kept and dropped.
pub fn retention(table: &Table) -> Markup {
    html! {
        section #filter {
            h2 { "The causal filter" }
            @for each in &table.retention { (sheet(each, "the causal filter")) }
        }
    }
}

fn sheet(sheet: &Sheet, whose: &str) -> Markup {
    html! {
        h4 { (sheet.title) }
        p.reading { (sheet.reading) }
        div.wide {
            table aria-label={ (sheet.title) ": " (whose) } {
                thead { tr {
                    @for (at, name) in sheet.head.iter().enumerate() {
                        th.num[at >= sheet.names] scope="col" { (name) }
                    }
                } }
                tbody {
                    @for row in &sheet.rows {
                        tr {
                            @for (at, cell) in row.iter().enumerate() {
                                @if at < sheet.names { th scope="row" { (breakable(cell)) } }
                                @else { td.num { (cell) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// What became of the samples, as a band and in words.
fn accounting(accounting: &Accounting) -> Markup {
    let share = |n: u64| 100.0 * n as f64 / accounting.planned.max(1) as f64;
    html! {
        div.accounting {
            div.band aria-hidden="true" {
                @for (at, (_, n)) in accounting.parts().iter().enumerate().filter(|(_, (_, n))| *n > 0) {
                    span class={ "part-" (at) } style={ "width:" (text::fixed(share(*n), 3)) "%" } {}
                }
            }
            p {
                span.total { (count(accounting.planned, "sample")) " planned" }
                @for (at, (what, n)) in accounting.parts().iter().enumerate().filter(|(_, (_, n))| *n > 0) {
                    span { i class={ "part-" (at) } {} (n) " " (what) }
                }
                @if let Some(whose) = headline::clusters(accounting) { span { (whose) } }
                @if let Some(cut) = headline::cut(accounting) { span { (cut) } }
            }
        }
    }
}

/// IoU by finding, the darker the higher.
fn findings(section: &Section, group: &Group) -> Markup {
    let cell = |row: &Row, at: usize| {
        let finding = &group.findings[at];
        let place = group
            .rows
            .iter()
            .position(|other| other.method == row.method);
        place.and_then(|place| finding.values[place])
    };
    html! {
        div.wide {
            table.heat aria-label={ "IoU by finding: " (section.dataset) ", " (section.mode.name()) } {
                thead {
                    tr {
                        th scope="col" { "Finding" }
                        th.num scope="col" { "Samples" }
                        @for row in &group.rows { th.num scope="col" { (breakable(&row.method)) } }
                    }
                }
                tbody {
                    @for (at, finding) in group.findings.iter().enumerate() {
                        tr {
                            th scope="row" { (finding.name) }
                            td.num { (finding.samples) }
                            @for row in &group.rows {
                                @match cell(row, at) {
                                    Some(summary) => {
                                        td.num style={ "--heat:" (text::fixed(summary.mean, 1)) } {
                                            (value(&summary, finding.samples, false))
                                        }
                                    }
                                    None => { td.num.none { span.unsaid { "none" } } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The sanity checks: a row for each method, two columns for each change.
pub fn checks(table: &Table) -> Markup {
    let mut changes: Vec<_> = table.checks.iter().map(|check| check.change).collect();
    changes.sort_unstable();
    changes.dedup();
    let mut keys: Vec<(&str, &str)> = table
        .checks
        .iter()
        .map(|c| (c.model.as_str(), c.method.as_str()))
        .collect();
    keys.dedup();
    let find = |(model, method): (&str, &str), change| {
        let same = |check: &&Check| check.model == model && check.method == method;
        table
            .checks
            .iter()
            .filter(same)
            .find(|check| check.change == change)
    };
    html! {
        section #checks {
            h2 { "Sanity checks" }
            p.reading { (CHECKS) }
            div.wide {
                table.alarm aria-label="Sanity checks" {
                    thead {
                        tr {
                            th rowspan="2" scope="col" { "Model" }
                            th rowspan="2" scope="col" { "Method" }
                            @for change in &changes {
                                th.group colspan="2" scope="colgroup" { (altered(*change)) }
                            }
                        }
                        tr {
                            @for _ in &changes {
                                th.num scope="col" { "Rank correlation" }
                                th.num scope="col" { "Region IoU" }
                            }
                        }
                    }
                    tbody {
                        @for key in &keys {
                            tr {
                                td { (key.0) }
                                th scope="row" { (key.1) }
                                @for change in &changes {
                                    @match find(*key, *change) {
                                        Some(check) => { (compared(check)) }
                                        None => { td.num.none {} td.num.none {} }
                                    }
                                }
                            }
                        }
                    }
                }
            }
            @if let Some(answers) = &table.answers { (sheet(answers, "sanity checks")) }
        }
    }
}

/// What is not as it was.
fn altered(change: Change) -> String {
    match change {
        Change::Question => "another question".to_owned(),
        Change::Patient => "another patient".to_owned(),
        Change::NoImage => "no image".to_owned(),
        Change::Weights(layers) => format!("noise in the top {}", count(layers.into(), "layer")),
        Change::AllWeights => "all weights noise".to_owned(),
    }
}

fn compared(check: &Check) -> Markup {
    html! {
        td.num style=[check.correlation.map(|s| format!("--heat:{}", text::fixed(100.0 * s.mean.max(0.0), 1)))] {
            @if let Some(summary) = &check.correlation {
                (value(summary, check.compared, false))
            } @else {
                span.unsaid { "no maps" }
            }
        }
        td.num style=[check.region_iou.map(|s| format!("--heat:{}", text::fixed(s.mean, 1)))] {
            @if let Some(summary) = &check.region_iou { (value(summary, check.compared, false)) }
            span.n { "n = " (check.compared) }
            @if check.failed > 0 { span.failed { (check.failed) " failed" } }
        }
    }
}

/// What failed, and why.
pub fn failures(table: &Table) -> Markup {
    html! {
        section #failures {
            h2 { "Failures" }
            div.wide {
                table.text aria-label="Failures" {
                    thead { tr {
                        th scope="col" { "Where" } th scope="col" { "Method" }
                        th scope="col" { "Samples" } th scope="col" { "Why" }
                    } }
                    tbody {
                        @for failure in &table.failures.listed {
                            tr {
                                td { (failure.dataset) ", " (failure.mode.name()) ", " (failure.model)
                                    @if let Some(change) = failure.change {
                                        ", sanity check: " (altered(change))
                                    }
                                }
                                td { (failure.method.as_deref().unwrap_or("before any method")) }
                                td { (failure.numbers()) }
                                td { (failure.sentence) }
                            }
                        }
                        @if let Some(rest) = table.failures.rest() { tr { td colspan="4" { (rest) } } }
                    }
                }
            }
        }
    }
}

/// What a result takes.
pub fn cost(table: &Table) -> Markup {
    let places: Vec<usize> = (0..table.measures.len())
        .filter(|&at| table.measures[at].metric.category == Category::Cost)
        .collect();
    html! {
        section #cost {
            h2 { "Cost" }
            p.reading { "Means of a result that was scored. Seconds depend on the machine and on what else it did." }
            div.wide {
                table aria-label="Cost" {
                    thead { tr {
                        th scope="col" { "Method" }
                        @for &at in &places {
                            th.num scope="col" title=(table.measures[at].legend()) { (table.measures[at].metric.title) }
                        }
                    } }
                    @for section in &table.sections {
                        tbody {
                            tr.head { th colspan=(1 + places.len()) scope="rowgroup" {
                                (section.dataset) ", " (section.mode.name())
                            } }
                            @for controls in [false, true] {
                                @for (_, row) in rows(section.leading(), controls) {
                                    tr {
                                        (name(row))
                                        @for &at in &places {
                                            td.num {
                                                @if let Some(summary) = &row.values[at] { (number(summary.mean)) }
                                            }
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
