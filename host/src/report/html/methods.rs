//! A group's methods as a table.

use maud::{Markup, html};

use super::bars::Scale;
use crate::{
    metrics::{Category, Direction},
    report::{
        measure::Measure,
        row::{Gain, Row, best},
        table::{Group, Table},
        text::{fixed, interval, number, p_value, signed},
        tidy,
    },
    statistics::{Comparison, Summary},
};

/// How the regions agree: IoU, the gain over the best control, and their kin. `whose` is for readers who hear the page.
pub fn agreement(table: &Table, group: &Group, whose: &str) -> Markup {
    let places = group.measured(&table.measures);
    let columns: Vec<Column<'_>> = places
        .iter()
        .filter(|at| table.measures[**at].metric.category == Category::Agreement)
        .map(|&at| Column::new(table, group, at, if at == 0 { 112.0 } else { 44.0 }))
        .collect();
    let gains = group.rows.iter().filter_map(|row| row.gain.as_ref());
    let over = gains.clone().map(|gain| gain.over.as_str()).next();
    let scale = Scale::around_zero(gains.map(|gain| &gain.comparison.difference), 84.0);
    let (iou, others) = columns.split_at(columns.len().min(1));
    let best = best(&group.rows, |row| !row.control);
    let extent = 2 + columns.len() + usize::from(over.is_some());
    html! {
        div.wide {
            table aria-label={ "Agreement with the annotated regions: " (whose) } {
                thead {
                    tr {
                        th scope="col" { "Method" }
                        th.num scope="col" { "Scored" }
                        @for column in iou { (column.head()) }
                        @if let Some(over) = over {
                            th.num scope="col" { "Gain over " (over) (ends(&scale)) }
                        }
                        @for column in others { (column.head()) }
                    }
                }
                @for controls in [false, true] {
                    tbody.controls[controls] {
                        @for (at, row) in rows(group, controls) {
                            tr.best[best == Some(at)] {
                                (name(row))
                                td.num { (row.scored) " of " (row.attempted) (failed(row)) }
                                @for column in iou { (column.cell(row)) }
                                @if over.is_some() { td.num { (gain(row.gain.as_ref(), &scale)) } }
                                @for column in others { (column.cell(row)) }
                            }
                        }
                        @if !controls { (misfits(group, extent)) }
                    }
                }
            }
        }
    }
}

/// What else is known of the results: pointing, ranking of pixels, faithfulness, and how often there is none.
pub fn beyond(table: &Table, group: &Group, whose: &str) -> Markup {
    let places = group.measured(&table.measures);
    let columns: Vec<Column<'_>> = places
        .into_iter()
        .filter(|&at| {
            let category = table.measures[at].metric.category;
            !matches!(category, Category::Agreement | Category::Cost)
        })
        .map(|at| Column::new(table, group, at, 44.0))
        .collect();
    html! {
        @if !columns.is_empty() {
            div.wide {
                table aria-label={ "Other measures: " (whose) } {
                    thead {
                        tr {
                            th scope="col" { "Method" }
                            @for column in &columns { (column.head()) }
                        }
                    }
                    @for controls in [false, true] {
                        tbody.controls[controls] {
                            @for (_, row) in rows(group, controls) {
                                tr { (name(row)) @for column in &columns { (column.cell(row)) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The methods or the controls, with their places in the group.
pub fn rows(group: &Group, controls: bool) -> impl Iterator<Item = (usize, &Row)> {
    let rows = group.rows.iter().enumerate();
    rows.filter(move |(_, row)| row.control == controls)
}

/// The head of a row.
pub fn name(row: &Row) -> Markup {
    html! {
        th scope="row" {
            (row.method)
            @if row.control { span.tag { "control" } }
            @if let Some(note) = tidy::without(row) { span.note { (note) } }
        }
    }
}

fn failed(row: &Row) -> Markup {
    html! { @if row.failed > 0 { span.failed { (row.failed) " failed" } } }
}

/// Lines that say why there are no numbers.
fn misfits(group: &Group, extent: usize) -> Markup {
    html! {
        @for misfit in &group.misfits {
            tr.misfit {
                th scope="row" { (misfit.method) }
                td colspan=(extent - 1) { "Does not fit: " (misfit.reason) }
            }
        }
    }
}

fn gain(gain: Option<&Gain>, scale: &Scale) -> Markup {
    html! {
        @if let Some(gain) = gain { (compared(&gain.comparison, scale)) }
    }
}

/// A difference as a picture and in numbers.
pub fn compared(comparison: &Comparison, scale: &Scale) -> Markup {
    let difference = &comparison.difference;
    html! {
        div.measure {
            (scale.bar(difference))
            div.gain {
                @if let Some(p) = comparison.p { span.p { (p_value(p)) } }
                span.value { (signed(difference.mean)) }
                @if let Some(ends) = interval(difference) { span.ends { (ends) } }
            }
        }
    }
}

/// The ends of a column's scale.
pub fn ends(scale: &Scale) -> Markup {
    let (low, high) = scale.ends();
    html! { span.scale { (tick(low)) " to " (tick(high)) } }
}

fn tick(value: f64) -> String {
    if value.fract() == 0.0 {
        fixed(value, 0)
    } else {
        number(value)
    }
}

/// A measure as a column: its scale and its best value among the methods.
struct Column<'a> {
    measure: &'a Measure,
    at: usize,
    scale: Scale,
    best: Option<f64>,
}

impl<'a> Column<'a> {
    fn new(table: &'a Table, group: &Group, at: usize, width: f64) -> Self {
        let measure = &table.measures[at];
        let values = group.rows.iter().filter_map(|row| row.values[at].as_ref());
        let means = group
            .rows
            .iter()
            .filter(|row| !row.control)
            .filter_map(|row| Some(row.values[at].as_ref()?.mean));
        let best = match measure.metric.direction {
            Direction::HigherIsBetter => means.reduce(f64::max),
            Direction::LowerIsBetter => means.reduce(f64::min),
        };
        Self {
            measure,
            at,
            scale: Scale::from_zero(values, width),
            best: best.filter(|_| measure.has_interval()),
        }
    }

    fn head(&self) -> Markup {
        html! {
            th.num scope="col" title=(self.measure.legend()) {
                (self.measure.metric.title)
                @if self.measure.has_interval() { (ends(&self.scale)) }
            }
        }
    }

    fn cell(&self, row: &Row) -> Markup {
        let Some(summary) = &row.values[self.at] else {
            return html! { td.num.none { span.unsaid { "does not apply" } } };
        };
        let best = !row.control && self.best == Some(summary.mean);
        html! {
            td.num {
                @if self.measure.has_interval() {
                    div.measure {
                        (self.scale.bar(summary))
                        div { (value(summary, row.scored, best)) }
                    }
                } @else {
                    (value(summary, row.scored, best))
                }
            }
        }
    }
}

/// A mean, its interval and its count where that is not the row's.
pub fn value(summary: &Summary, scored: usize, best: bool) -> Markup {
    html! {
        @if best { strong.value { (number(summary.mean)) } } @else { span.value { (number(summary.mean)) } }
        @if summary.n != scored { span.n { "n = " (summary.n) } }
        @if let Some(ends) = interval(summary) { span.ends { (ends) } }
    }
}
