//! The table of what is the evidence how often.

use maud::{Markup, html};

use super::sections::breakable;
use crate::report::{
    concepts::{Concepts, READING},
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
