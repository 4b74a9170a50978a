//! `report.html`: one page, complete in itself, for people to read.

mod bars;
mod concepts;
mod effects;
pub(super) mod figure;
mod gallery;
mod methods;
mod provenance;
mod sections;
mod text;
pub(super) mod words;

use std::path::Path;

use maud::{DOCTYPE, Markup, PreEscaped, html};
use medfocus_plugin_api::Result;

use super::{
    headline,
    markdown::{NOTICE, READING},
    measure::Measure,
    pictures,
    table::Table,
};
use crate::{experiment::results::Results, overlay};

/// At most this many pictures of some 20 kB each: the page is meant to be sent to someone.
const PICTURES: usize = 400;

/// The page. It needs no network; all text of models and datasets is escaped.
///
/// # Errors
///
/// A record of a sample that is shown cannot be read.
pub fn page(table: &Table, results: &Results, folder: &Path) -> Result<String> {
    let name = &results.plan.experiment.name;
    let gallery = pictures::gallery(results, folder, PICTURES)?;
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (name) " - MedFocus" }
                style { (PreEscaped(include_str!("html/style.css"))) (PreEscaped(overlay::hues("--bright"))) }
            }
            body {
                header.top {
                    p.kicker { "MedFocus" span { "visual attribution for chest X-ray models" } }
                    h1 { (name) }
                    p.lede { (headline::question(&results.plan)) }
                    p.notice { (NOTICE) }
                    @if let Some(warning) = headline::incomplete(table) {
                        p.warning { (warning) }
                    }
                    (contents(table, results, !gallery.exhibits.is_empty()))
                }
                main {
                    @if !table.retention.is_empty() { (sections::retention(table)) }
                    section #results {
                        h2 { "Results" }
                        p.reading { (READING) " Controls never ask the model: what a method gains over the best of "
                            "them is what it owes to looking at the model." }
                        @for section in &table.sections {
                            (sections::section(table, section))
                        }
                        (legend(&table.measures))
                    }
                    @if !table.checks.is_empty() { (sections::checks(table)) }
                    @if !gallery.exhibits.is_empty() { (gallery::gallery(table, results, &gallery)) }
                    @if !table.failures.is_empty() { (sections::failures(table)) }
                    (sections::cost(table))
                    @if !results.tuned.is_empty() { (provenance::tuned(results)) }
                    (provenance::provenance(table, results))
                }
                footer { p { "MedFocus " (results.plan.medfocus) ". " (NOTICE) } }
            }
        }
    };
    Ok(page.into_string())
}

fn contents(table: &Table, results: &Results, gallery: bool) -> Markup {
    let entries = [
        ("filter", "The causal filter", !table.retention.is_empty()),
        ("results", "Results", true),
        ("checks", "Sanity checks", !table.checks.is_empty()),
        ("gallery", "Gallery", gallery),
        ("failures", "Failures", !table.failures.is_empty()),
        ("cost", "Cost", true),
        ("parameters", "Chosen parameters", !results.tuned.is_empty()),
        ("provenance", "Provenance", true),
    ];
    html! {
        nav aria-label="Contents" {
            @for (id, title, _) in entries.iter().filter(|(_, _, there)| *there) {
                a href={ "#" (id) } { (title) }
            }
        }
    }
}

/// What each column means.
fn legend(measures: &[Measure]) -> Markup {
    html! {
        details.legend {
            summary { "What the columns mean" }
            dl {
                dt { "Scored" }
                dd { "samples that the method answered, of those it was asked about" }
                dt { "Gain" }
                dd { "IoU less the best control's on the samples that both scored, in percent, with the p value of no "
                    "gain after Holm's correction for the number of methods; higher is better" }
                @for measure in measures {
                    dt { (measure.metric.title) }
                    dd { (measure.legend()) }
                }
            }
        }
    }
}
