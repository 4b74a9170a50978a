//! What made the results.

use maud::{Markup, html};
use serde_json::{Map, Value};

use crate::{
    experiment::{plan::PlannedDataset, results::Results},
    report::{
        table::Table,
        text::{self, count, number},
    },
    workbench::Provenance,
};

/// The parameters that were chosen on the tuning split.
pub fn tuned(results: &Results) -> Markup {
    let tuning = results.plan.experiment.tuning.as_ref();
    let metric = tuning
        .map(|tuning| tuning.metric.as_str())
        .unwrap_or_default();
    html! {
        section #parameters {
            h2 { "Chosen parameters" }
            p.reading {
                "The candidate with the best mean " (metric)
                @if let Some(split) = &results.plan.tuning {
                    " on " (count(split.samples, "sample")) " of " (split.name)
                }
                ", samples that no table holds."
            }
            div.wide {
                table.text aria-label="Chosen parameters" {
                    thead { tr {
                        th scope="col" { "Method" } th scope="col" { "Model" } th scope="col" { "Mode" }
                        th scope="col" { "Candidate" } th.num scope="col" { "Mean " (metric) }
                    } }
                    @for choice in &results.tuned {
                        tbody {
                            @for (params, mean) in &choice.candidates {
                                tr.best[*params == choice.params] {
                                    th scope="row" { (choice.method) }
                                    td { (choice.model) }
                                    td { (choice.mode.name()) }
                                    td { code { (text::params(params)) }
                                        @if *params == choice.params { span.tag { "chosen" } } }
                                    td.num { @if let Some(mean) = mean { (number(*mean)) } @else { "never scored" } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Versions, digests, parameters and seeds.
pub fn provenance(table: &Table, results: &Results) -> Markup {
    let plan = &results.plan;
    let experiment = serde_json::to_string_pretty(&plan.experiment).unwrap_or_default();
    html! {
        section #provenance {
            h2 { "Provenance" }
            dl.facts {
                dt { "Program" } dd { "MedFocus " (plan.medfocus) }
                dt { "Plan" } dd { code { (plan.digest) } }
                dt { "Seed" } dd { (plan.seed) }
                dt { "Boxes" } dd { code { (text::params(&object(&plan.boxes))) } }
                dt { "Answers" } dd { "at most " (count(u64::from(plan.max_new_tokens), "token")) }
                dt { "Intervals" } dd { (plan.experiment.statistics.resamples) " bootstrap resamples of whole images" }
            }
            h3 { "Datasets" }
            dl.facts {
                @for dataset in plan.datasets.iter().chain(&plan.tuning) { (self::dataset(dataset)) }
            }
            h3 { "Models" }
            dl.facts {
                @for model in &plan.models {
                    dt { (model.name) }
                    dd {
                        @for digest in table.digests.get(&model.name).into_iter().flatten() { p { "weights and settings " code { (digest) } } }
                        (made_by(&model.backend))
                    }
                }
            }
            h3 { "Methods" }
            dl.facts {
                @for method in &plan.methods {
                    dt { (method.name) @if method.control { span.tag { "control" } } }
                    dd { (made_by(&method.method)) }
                }
            }
            details { summary { "The experiment as it was configured" } pre { (experiment) } }
        }
    }
}

fn dataset(dataset: &PlannedDataset) -> Markup {
    html! {
        dt { (dataset.name) }
        dd {
            p { (count(dataset.samples, "sample")) ", " code { (dataset.digest) } }
            (made_by(&dataset.reader))
        }
    }
}

/// A component, its plugin and parameters, and what is in its slots.
fn made_by(made: &Provenance) -> Markup {
    html! {
        p { code { (made.component) } " of " (made.plugin.name) " " (made.plugin.version) ", "
            code { (made.plugin.digest) } }
        @if !made.params.is_empty() { p { code { (text::params(&made.params)) } } }
        @for (slot, inner) in &made.slots {
            div.slot { p { "in its slot " code { (slot) } ":" } (made_by(inner)) }
        }
    }
}

fn object(value: &impl serde::Serialize) -> Map<String, Value> {
    match serde_json::to_value(value) {
        Ok(Value::Object(object)) => object,
        _ => Map::new(),
    }
}
