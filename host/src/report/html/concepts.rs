//! The tables of concepts: which is the evidence how often, and how far they reach.

use maud::{Markup, html};

use super::text::breakable;
use crate::report::{
    concepts::{Concepts, READING},
    reach::{self, Reach},
    text::{fixed, number},
};

/// The table, the darker the more often; nothing if no method names concepts.
pub fn shares(concepts: &Concepts, whose: &str) -> Markup {
    if concepts.rows.is_empty() {
        return html! {};
    }
    html! {
        h4 { "Evidence by concept" }
        p.reading { (READING) }
        div.wide {
            table.heat aria-label={ "Evidence by concept: " (whose) } {
                thead { tr {
                    th scope="col" { "Concept" }
                    @for (method, scored) in &concepts.methods {
                        th.num scope="col" { (breakable(method)) span.scale { "n = " (scored) } }
                    }
                } }
                tbody {
                    @for row in &concepts.rows {
                        tr {
                            th scope="row" { (row.name) }
                            @for at in 0..concepts.methods.len() {
                                @let share = concepts.share(row, at);
                                td.num style={ "--heat:" (fixed(share, 1)) } { (number(share)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The table of what was chosen beside the best; nothing if no method says where its concepts are.
pub fn reach(reach: &[Reach], whose: &str) -> Markup {
    if reach.is_empty() {
        return html! {};
    }
    html! {
        h4 { "The best concept" }
        p.reading { (reach::READING) }
        div.wide {
            table aria-label={ "The best concept: " (whose) } {
                thead { tr {
                    th scope="col" { "Method" }
                    th.num scope="col" { "Samples" }
                    th.num scope="col" { "IoU" }
                    th.num scope="col" { "IoU of the best concept" }
                } }
                tbody {
                    @for reach in reach {
                        tr {
                            th scope="row" { (breakable(&reach.method)) }
                            td.num { (reach.samples) }
                            td.num { (number(reach.chosen)) }
                            td.num { (number(reach.best)) }
                        }
                    }
                }
            }
        }
    }
}
