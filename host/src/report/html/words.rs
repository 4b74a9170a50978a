//! The answer's words, each in the colour of a concept.

use std::ops::Range;

use maud::{Markup, html};

use crate::{
    evidence::{Drops, Weighed, letter},
    report::text::{fixed, number},
};

/// A word that loses less than this share of what the answer's hardest hit word loses stays plain.
const FAINTEST: f64 = 0.05;

/// A word of the answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Word {
    /// Where it stands in the tokens' text, in bytes.
    pub place: Range<usize>,
    /// The place of the concept that explains it, and its drop of log-probability without that concept.
    pub missed: Option<(usize, f64)>,
}

impl Drops<'_> {
    /// Without what follows the answer, such as the end of the turn.
    pub fn of(mut self, answer: &str) -> Self {
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
///
/// A word is explained as the answer is: by the evidence, if it loses without it at least the evidence's `share` of what it
/// loses without any concept; else by the concept without which it loses most.
pub fn words(drops: &Drops<'_>, concepts: &Weighed<'_>) -> Vec<Word> {
    let text = drops.tokens.concat();
    let places = places(&text);
    let mut sums = vec![vec![0.0; concepts.concepts.len()]; places.len()];
    let mut start = 0;
    for (at, token) in drops.tokens.iter().enumerate() {
        let first = start + token.len() - token.trim_start().len();
        start += token.len();
        let word = places.partition_point(|place| place.end <= first);
        if first < start {
            for (sum, concept) in sums[word].iter_mut().zip(&concepts.concepts) {
                *sum += drops.matrix[concept.row][at];
            }
        }
    }
    let missed: Vec<_> = sums.iter().map(|sums| missed(sums, concepts)).collect();
    let largest = largest(missed.iter().flatten());
    let words = places.into_iter().zip(missed).map(|(place, missed)| Word {
        place,
        missed: missed.filter(|(_, drop)| *drop >= FAINTEST * largest),
    });
    words.collect()
}

fn missed(drops: &[f64], concepts: &Weighed<'_>) -> Option<(usize, f64)> {
    let most = strongest(drops)?;
    let evidence = concepts.winner.map(|place| (place, drops[place]));
    let enough = |(_, drop): &(usize, f64)| *drop > 0.0 && *drop >= concepts.share * most.1;
    Some(evidence.filter(enough).unwrap_or(most))
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

/// The answer.
pub fn coloured(text: &str, words: &[Word], concepts: &Weighed<'_>) -> Markup {
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
                        mark class={ "hue-" (concepts.hue(concept)) }
                            style={ "--drop:" (fixed(100.0 * drop / largest, 0)) }
                            title={ (concepts.concepts[concept].name) ": " (number(drop)) } {
                            (shown) sup { (letter(concept)) }
                        }
                    }
                    None => { (shown) }
                }
            }
        }
    }
}
