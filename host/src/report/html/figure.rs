//! A result in terms of concepts: the picture, and beside it the answer's words and a bar for each concept (after Xiong et
//! al., arXiv 2605.20158, Figure 5).

use maud::{Markup, html};

use super::words::{coloured, words};
use crate::{
    evidence::{self, Weighed, letter},
    experiment::record::{MethodOutcome, MethodResult},
    report::text::{fixed, number},
};

/// How it is to be read.
pub const READING: &str = "Where a method took concepts out of the image: the evidence is filled, the strongest others are \
                           thin boxes with the letters of their bars. A bar is \u{394}, the log-probability that the answer \
                           loses without the concept; if none reaches the dashed line no concept dominates, and the whole \
                           image is the evidence. A word has the colour and the letter of the evidence if, without it, it \
                           loses at least the share by which the evidence was chosen (70 % in MedFocus) of what it loses \
                           without any one concept; else those of the concept without which it loses most. The \
                           stronger the colour, the more it loses.";

/// The concepts that a result weighs, if it does.
pub fn weighed(result: &MethodResult) -> Option<Weighed<'_>> {
    match &result.outcome {
        MethodOutcome::Scored { evidence, .. } => Weighed::of(evidence),
        MethodOutcome::Failed { .. } => None,
    }
}

/// What a method says of an answer; nothing if it does not weigh concepts.
pub fn said(result: &MethodResult, answer: &str) -> Markup {
    let (MethodOutcome::Scored { evidence, .. }, Some(concepts)) =
        (&result.outcome, weighed(result))
    else {
        return html! {};
    };
    let drops = evidence::drops(evidence, concepts.concepts.len()).map(|drops| drops.of(answer));
    let words = drops
        .as_ref()
        .map(|drops| words(drops, &concepts))
        .unwrap_or_default();
    let used: Vec<usize> = words
        .iter()
        .filter_map(|word| word.missed)
        .map(|(concept, _)| concept)
        .collect();
    html! {
        p.chosen {
            @if concepts.fallback {
                b { "whole image" } ": no concept dominates"
            } @else if let Some(name) = concepts.chosen {
                "evidence: " b { (name) }
            }
        }
        @if let Some(drops) = &drops { (coloured(&drops.tokens.concat(), &words, &concepts)) }
        (deltas(&concepts, &used))
    }
}

/// The strongest concepts, the evidence, and the ones that colour a word.
fn deltas(concepts: &Weighed<'_>, used: &[usize]) -> Markup {
    let mut listed: Vec<usize> = concepts.listed().chain(used.iter().copied()).collect();
    listed.sort_unstable();
    listed.dedup();
    let percent = |delta: f64| fixed(100.0 * concepts.length(delta), 1);
    html! {
        ul.deltas {
            @for &place in &listed {
                @let concept = &concepts.concepts[place];
                @let winner = if concepts.winner == Some(place) { " winner" } else { "" };
                li class={ "hue-" (concepts.hue(place)) (winner) } {
                    i { (letter(place)) }
                    span { (concept.name) }
                    span.delta aria-hidden="true" {
                        span style={ "width:" (percent(concept.delta)) "%" } {}
                        @if let Some(threshold) = concepts.threshold {
                            s style={ "left:" (percent(threshold)) "%" } {}
                        }
                    }
                    span.num { (number(concept.delta)) }
                }
            }
        }
        @for note in [concepts.rule(), concepts.rejection()].iter().flatten() { p.note { (note) "." } }
        @if let Some(threshold) = concepts.threshold {
            p.note { "Dashed line: a concept dominates from \u{394} " (number(threshold)) "." }
        }
    }
}
