//! The table of what each method does beside the one it is compared with.

use maud::{Markup, html};

use super::{
    bars::Scale,
    methods::{compared, ends, name},
};
use crate::report::{
    effect::{Effect, READING, Verdict},
    headline::by_reference,
    row::Row,
    table::Group,
};

/// The table, the largest difference first; nothing if no method is compared.
pub fn table(group: &Group, whose: &str) -> Markup {
    let references = by_reference(group);
    if references.is_empty() {
        return html! {};
    }
    let effects = references.iter().flat_map(|(_, rows)| rows);
    let effects = effects.map(|(_, effect)| *effect);
    let iou = Scale::around_zero(effects.clone().map(|effect| &effect.iou.difference), 168.0);
    let f1 = Scale::around_zero(effects.map(|effect| &effect.f1.difference), 84.0);
    html! {
        h4 { "Differences" }
        p.reading { (READING) }
        div.wide {
            table aria-label={ "Differences: " (whose) } {
                thead { tr {
                    th scope="col" { "Method" }
                    th.num scope="col" { "IoU" (ends(&iou)) }
                    th.num scope="col" { "F1" (ends(&f1)) }
                    th.num scope="col" { "Changed" }
                    th scope="col" { "Verdict" }
                } }
                @for (reference, rows) in &references {
                    tbody {
                        tr.head { th colspan="5" scope="rowgroup" { "Compared with " (reference) } }
                        @for (row, effect) in rows { (line(row, effect, &iou, &f1)) }
                    }
                }
            }
        }
    }
}

fn line(row: &Row, effect: &Effect, iou: &Scale, f1: &Scale) -> Markup {
    let verdict = effect.verdict();
    html! {
        tr.best[verdict == Verdict::Differs] {
            (name(row))
            td.num { (compared(&effect.iou, iou)) }
            td.num { (compared(&effect.f1, f1)) }
            td.num { (effect.changed) " of " (effect.iou.difference.n) }
            td { (verdict.words()) }
        }
    }
}
