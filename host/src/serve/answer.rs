//! A result as the page shows it: all places in pixels of the image, all that a method says checked ([`Weighed`]).

use medfocus_plugin_api::{BBox, Letterbox, Working};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    attribute::Record,
    evidence::{self, Drops, Weighed},
    files::File,
    score::ScoredToken,
};

/// What the page shows.
#[derive(Debug, Serialize, ToSchema)]
pub struct Answer {
    /// The full question, suffix included.
    question: String,
    /// The explained answer.
    answer: String,
    /// Columns and rows of the image, in whose pixels all boxes are.
    size: (u32, u32),
    /// The answer's tokens.
    tokens: Vec<Token>,
    /// The evidence, the strongest first.
    boxes: Vec<Found>,
    /// The concepts that were weighed, by Delta, the highest first.
    concepts: Vec<Concept>,
    /// The evidence in a word: a concept, or the whole image; nothing where the method names none.
    evidence: Option<String>,
    /// The share, 0 to 1, of the longest bar at which a concept begins to dominate.
    threshold: Option<f64>,
    /// Why the evidence need not be the concept with the highest Delta, if it is not.
    rule: Option<String>,
    /// What to know before trusting it.
    notes: Vec<String>,
    /// Names of the layers.
    layers: Vec<&'static str>,
    /// Names of the files.
    files: Vec<&'static str>,
}

/// A token of the answer.
#[derive(Debug, Serialize, ToSchema)]
struct Token {
    text: String,
    /// Natural log-probability.
    log_prob: f32,
}

/// A box of the evidence: x1, y1, x2, y2, half-open.
#[derive(Debug, Serialize, ToSchema)]
struct Found {
    corners: [u32; 4],
    score: f64,
    label: Option<String>,
}

/// A concept that was taken out of the image.
#[derive(Debug, Serialize, ToSchema)]
struct Concept {
    name: String,
    letter: String,
    /// Which colour, 0 to 5; 0 is the evidence's.
    hue: usize,
    /// How much log-probability the answer loses without it.
    delta: f64,
    /// The same as a share of the longest bar, 0 to 1.
    length: f64,
    /// Where it is: x1, y1, x2, y2 of each box.
    boxes: Vec<[u32; 4]>,
    /// What each token of the answer loses without it, where the method says so.
    drops: Option<Vec<f64>>,
}

impl Answer {
    /// The answer of a record that has these layers and files.
    pub fn of(record: &Record, layers: &[File], files: &[File]) -> Self {
        let names = |files: &[File]| files.iter().map(|file| file.name).collect();
        let letterbox = &record.image.letterbox;
        let said = Weighed::of(&record.evidence);
        let found = record.boxes.iter().filter_map(|found| {
            Some(Found {
                corners: found.native?.corners(),
                score: found.score,
                label: found.label.clone(),
            })
        });
        Self {
            question: record.question.clone(),
            answer: record.answer.clone(),
            size: (record.image.width, record.image.height),
            tokens: record.tokens.iter().map(Token::of).collect(),
            boxes: found.collect(),
            concepts: said
                .as_ref()
                .map_or_else(Vec::new, |said| concepts(record, said, letterbox)),
            evidence: said
                .as_ref()
                .and_then(|said| said.chosen)
                .map(str::to_owned),
            threshold: said
                .as_ref()
                .and_then(|said| Some(said.length(said.threshold?))),
            rule: said.as_ref().and_then(Weighed::rule),
            notes: notes(record, said.as_ref()),
            layers: names(layers),
            files: names(files),
        }
    }
}

impl Token {
    fn of(scored: &ScoredToken) -> Self {
        Self {
            text: scored.token.text.clone(),
            log_prob: scored.log_prob,
        }
    }
}

fn notes(record: &Record, said: Option<&Weighed<'_>>) -> Vec<String> {
    let mut notes = record.warnings.clone();
    notes.extend(said.and_then(Weighed::rejection));
    if !evidence::reliable(&record.evidence) {
        notes.push("The method does not stand by this result".to_owned());
    }
    notes
}

fn concepts(record: &Record, said: &Weighed<'_>, letterbox: &Letterbox) -> Vec<Concept> {
    let drops = evidence::drops(&record.evidence, said.concepts.len());
    let native = |bbox: &BBox<Working>| Some(letterbox.to_native(bbox)?.corners());
    let concepts = said.concepts.iter().enumerate();
    let concepts = concepts.map(|(place, concept)| Concept {
        name: concept.name.to_owned(),
        letter: evidence::letter(place),
        hue: said.hue(place),
        delta: concept.delta,
        length: said.length(concept.delta),
        boxes: concept.boxes.iter().filter_map(native).collect(),
        drops: drops
            .as_ref()
            .and_then(|drops| onto_answer(drops, concept.row, &record.tokens)),
    });
    concepts.collect()
}

/// A row of the matrix, whose tokens may be a part of the answer or go on after it, for each token of the answer.
fn onto_answer(drops: &Drops<'_>, row: usize, answer: &[ScoredToken]) -> Option<Vec<f64>> {
    let texts: Vec<_> = answer
        .iter()
        .map(|token| token.token.text.as_str())
        .collect();
    let row = &drops.matrix[row];
    if drops.tokens.starts_with(&texts) {
        return Some(row[..texts.len()].to_vec());
    }
    let mut windows = texts.windows(drops.tokens.len());
    let before = windows.position(|window| window == drops.tokens)?;
    let mut all = vec![0.0; texts.len()];
    all[before..before + row.len()].copy_from_slice(row);
    Some(all)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tokens(texts: &[&str]) -> Vec<ScoredToken> {
        let token = |text: &&str| ScoredToken {
            token: serde_json::from_value(json!({"id": 1, "text": text})).unwrap(),
            log_prob: -0.5,
        };
        texts.iter().map(token).collect()
    }

    #[test]
    fn drops_find_their_tokens() {
        let drops = |tokens: &[&'static str]| Drops {
            tokens: tokens.to_vec(),
            matrix: vec![
                vec![0.0; tokens.len()],
                (1..).take(tokens.len()).map(f64::from).collect(),
            ],
        };
        let answer = tokens(&["The", " heart", " is", " large"]);
        let onto = |tokens: &[&'static str]| onto_answer(&drops(tokens), 1, &answer);
        assert_eq!(
            onto(&["The", " heart", " is", " large"]),
            Some(vec![1.0, 2.0, 3.0, 4.0])
        );
        assert_eq!(
            onto(&["The", " heart", " is", " large", "<end>"]),
            Some(vec![1.0, 2.0, 3.0, 4.0])
        );
        assert_eq!(onto(&[" heart", " is"]), Some(vec![0.0, 1.0, 2.0, 0.0]));
        assert_eq!(onto(&["No"]), None);
    }
}
