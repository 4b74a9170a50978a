//! What a method says in its `evidence` of the concepts that it took out of the image. Any method may say it under these
//! keys, so nothing is taken on trust: what has another shape or is out of all proportion counts as not said.

use serde_json::{Map, Value};

/// At most so many bytes of a concept's name.
const NAME: usize = 100;
/// At most so many concepts.
const CONCEPTS: usize = 100;
/// At most so many tokens of an answer.
const TOKENS: usize = 4096;
/// At most so many bytes of a token.
const TOKEN: usize = 256;
/// No log-probability drops by more.
const DROP: f64 = 1e6;

/// What the evidence is where no concept dominates.
pub const WHOLE_IMAGE: &str = "whole image";

/// A concept that was taken out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Concept<'a> {
    /// Its name.
    pub name: &'a str,
    /// How much log-probability the answer loses without it.
    pub delta: f64,
}

/// What each token of the answer loses without each concept.
#[derive(Clone, Debug, PartialEq)]
pub struct Drops<'a> {
    /// The tokens' texts, white space included.
    pub tokens: Vec<&'a str>,
    /// The drop of log-probability (concepts, tokens).
    pub matrix: Vec<Vec<f64>>,
}

/// What the method chose as evidence: a concept by its name (`winner`), or [`WHOLE_IMAGE`] if it fell back.
pub fn chosen(evidence: &Map<String, Value>, fallback: bool) -> Option<&str> {
    match evidence.get("winner")? {
        Value::String(_) | Value::Null if fallback => Some(WHOLE_IMAGE),
        winner => name(winner),
    }
}

/// `concepts`, in the method's order; there is at least one.
pub fn concepts(evidence: &Map<String, Value>) -> Option<Vec<Concept<'_>>> {
    let concepts = list(evidence.get("concepts")?, CONCEPTS)?;
    let concepts = concepts.iter().map(|concept| {
        Some(Concept {
            name: name(concept.get("name")?)?,
            delta: number(concept.get("delta")?)?,
        })
    });
    concepts.collect()
}

/// `matrix` and `tokens`, if they fit so many concepts; there is at least one token.
pub fn drops(evidence: &Map<String, Value>, concepts: usize) -> Option<Drops<'_>> {
    let texts = list(evidence.get("tokens")?, TOKENS)?.iter();
    let tokens: Option<Vec<&str>> = texts
        .map(|text| text.as_str().filter(|text| text.len() <= TOKEN))
        .collect();
    let tokens = tokens?;
    let rows = list(evidence.get("matrix")?, CONCEPTS)?;
    let row = |row: &Value| -> Option<Vec<f64>> {
        let row = list(row, TOKENS)?;
        row.iter().map(number).collect()
    };
    let matrix: Option<Vec<Vec<f64>>> = rows.iter().map(row).collect();
    let matrix = matrix.filter(|rows| rows.iter().all(|row| row.len() == tokens.len()))?;
    (matrix.len() == concepts).then_some(Drops { tokens, matrix })
}

fn list(value: &Value, most: usize) -> Option<&Vec<Value>> {
    value
        .as_array()
        .filter(|list| !list.is_empty() && list.len() <= most)
}

fn name(value: &Value) -> Option<&str> {
    value
        .as_str()
        .filter(|name| !name.trim().is_empty() && name.len() <= NAME)
}

fn number(value: &Value) -> Option<f64> {
    value.as_f64().filter(|number| number.abs() <= DROP)
}
