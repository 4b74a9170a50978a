//! The answer's words, each in the colour of the concept that it misses most, and what the answer as a whole loses
//! without each concept.

use std::ops::Range;

use maud::{Markup, html};

use crate::{
    experiment::record::{MethodOutcome, MethodResult},
    report::{
        evidence::{self, Concept, Drops, WHOLE_IMAGE},
        text::{fixed, number},
    },
};

/// A word that loses less than this share of what the answer's hardest hit word loses stays plain.
const FAINTEST: f64 = 0.05;
/// Concepts with the highest Delta that are listed in any case.
const LISTED: usize = 5;
/// A smaller Delta would read 0.00.
const SMALLEST: f64 = 0.005;
/// Colours in the style sheet: `hue-0` and so on.
const HUES: usize = 15;

/// How it is to be read.
pub const READING: &str = "Where a method took concepts out of the image: each word of the answer has the colour and \
                           the letter of the concept without which it loses most log-probability, the stronger the more \
                           it loses; a bar is what the whole answer loses.";

/// A word of the answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Word {
    /// Where it stands in the tokens' text, in bytes.
    pub place: Range<usize>,
    /// The concept that it misses most, by its number, and its drop of log-probability.
    pub missed: Option<(usize, f64)>,
}

/// Whether the method says how much its concepts matter.
pub fn weighed(result: &MethodResult) -> bool {
    matches!(&result.outcome, MethodOutcome::Scored { evidence, .. } if evidence::concepts(evidence).is_some())
}

/// What a method says of an answer; nothing if it does not weigh concepts.
pub fn answer(result: &MethodResult, answer: &str) -> Markup {
    let MethodOutcome::Scored {
        evidence, fallback, ..
    } = &result.outcome
    else {
        return html! {};
    };
    let Some(concepts) = evidence::concepts(evidence) else {
        return html! {};
    };
    let drops = evidence::drops(evidence, concepts.len()).map(|drops| drops.of(answer));
    let words = drops.as_ref().map(words).unwrap_or_default();
    let used: Vec<usize> = words
        .iter()
        .filter_map(|word| word.missed)
        .map(|(concept, _)| concept)
        .collect();
    html! {
        div.weighed {
            p.method {
                b { (result.method) }
                @match evidence::chosen(evidence, *fallback) {
                    Some(WHOLE_IMAGE) => { span.failed { "whole image: no concept dominates" } }
                    Some(name) => { span { "evidence: " (name) } }
                    None => {}
                }
            }
            @if let Some(drops) = &drops { (coloured(&drops.tokens.concat(), &words, &concepts)) }
            (deltas(&concepts, &used))
        }
    }
}

impl Drops<'_> {
    /// Without what follows the answer, such as the end of the turn.
    fn of(mut self, answer: &str) -> Self {
        let mut text = String::new();
        let end = self.tokens.iter().position(|token| {
            text += token;
            text.trim() == answer.trim()
        });
        self.tokens.truncate(end.map_or(usize::MAX, |end| end + 1));
        self
    }
}

/// The words: what stands between white space. A token counts for the word of its first visible character.
pub fn words(drops: &Drops<'_>) -> Vec<Word> {
    let text = drops.tokens.concat();
    let places = places(&text);
    let mut sums = vec![vec![0.0; drops.matrix.len()]; places.len()];
    let mut start = 0;
    for (at, token) in drops.tokens.iter().enumerate() {
        let first = start + token.len() - token.trim_start().len();
        start += token.len();
        let word = places.partition_point(|place| place.end <= first);
        if first < start {
            for (sum, row) in sums[word].iter_mut().zip(&drops.matrix) {
                *sum += row[at];
            }
        }
    }
    let missed: Vec<_> = sums.iter().map(|sums| strongest(sums)).collect();
    let largest = largest(missed.iter().flatten());
    let words = places.into_iter().zip(missed).map(|(place, missed)| Word {
        place,
        missed: missed.filter(|(_, drop)| *drop >= FAINTEST * largest),
    });
    words.collect()
}

fn places(text: &str) -> Vec<Range<usize>> {
    let words = text.split_whitespace().map(|word| {
        let start = word.as_ptr() as usize - text.as_ptr() as usize;
        start..start + word.len()
    });
    words.collect()
}

/// The first of the largest values, if it is above zero.
fn strongest(values: &[f64]) -> Option<(usize, f64)> {
    let values = values.iter().copied().enumerate();
    values.fold(None, |best, (at, value)| match best {
        _ if value <= best.map_or(0.0, |(_, best)| best) => best,
        _ => Some((at, value)),
    })
}

fn largest<'a>(missed: impl Iterator<Item = &'a (usize, f64)>) -> f64 {
    missed.map(|(_, drop)| *drop).fold(0.0, f64::max)
}

fn coloured(text: &str, words: &[Word], concepts: &[Concept<'_>]) -> Markup {
    let largest = largest(words.iter().filter_map(|word| word.missed.as_ref()));
    let ends = words.iter().map(|word| word.place.end);
    let before = std::iter::once(0).chain(ends);
    html! {
        p.words {
            @for (word, before) in words.iter().zip(before) {
                (text[before..word.place.start])
                @let shown = &text[word.place.clone()];
                @match word.missed {
                    Some((concept, drop)) => {
                        mark class=(hue(concept)) style={ "--drop:" (fixed(100.0 * drop / largest, 0)) }
                            title={ (concepts[concept].name) ": " (number(drop)) } {
                            (shown) sup { (letter(concept)) }
                        }
                    }
                    None => { (shown) }
                }
            }
        }
    }
}

/// The concepts without which the answer loses most, and the ones that colour a word.
fn deltas(concepts: &[Concept<'_>], used: &[usize]) -> Markup {
    let mut order: Vec<usize> = (0..concepts.len()).collect();
    order.sort_by(|a, b| concepts[*b].delta.total_cmp(&concepts[*a].delta));
    let largest = concepts[order[0]].delta;
    let listed = order.into_iter().enumerate().filter(|(place, concept)| {
        used.contains(concept) || (*place < LISTED && concepts[*concept].delta >= SMALLEST)
    });
    html! {
        ul.deltas {
            @for (_, concept) in listed {
                @let delta = concepts[concept].delta;
                @let share = if largest > 0.0 { 100.0 * (delta / largest).max(0.0) } else { 0.0 };
                li class=(hue(concept)) {
                    i { (letter(concept)) }
                    span { (concepts[concept].name) }
                    span.delta aria-hidden="true" { span style={ "width:" (fixed(share, 1)) "%" } {} }
                    span.num { (number(delta)) }
                }
            }
        }
    }
}

fn hue(concept: usize) -> String {
    format!("hue-{}", concept % HUES)
}

/// a to z, then a1 to z1 and so on.
fn letter(concept: usize) -> String {
    let letter = char::from(b'a' + (concept % 26) as u8);
    match concept / 26 {
        0 => letter.to_string(),
        round => format!("{letter}{round}"),
    }
}
