//! What a method says in its `evidence` of the concepts that it took out of the image. Any method may say it under these
//! keys, so nothing is taken on trust: what has another shape or is out of all proportion counts as not said.

use medfocus_plugin_api::{BBox, WORKING_SIDE, Working};
use serde_json::{Map, Value};

/// At most so many bytes of a concept's name.
const NAME: usize = 100;
/// At most so many concepts.
const CONCEPTS: usize = 100;
/// At most so many boxes of a concept.
const BOXES: usize = 16;
/// At most so many tokens of an answer.
const TOKENS: usize = 4096;
/// At most so many bytes of a token.
const TOKEN: usize = 256;
/// No log-probability drops by more.
const DROP: f64 = 1e6;
/// As many concepts have bars.
const LISTED: usize = 16;

/// What the evidence is where no concept dominates.
pub const WHOLE_IMAGE: &str = "whole image";
/// The same as a sentence.
pub const NO_CONCEPT: &str = "the whole image: no concept dominates";

/// Kinds of concepts that have a colour of their own: the evidence, the strongest four of the others, and the rest.
pub const HUES: usize = 6;

/// A concept that was taken out.
#[derive(Clone, Debug, PartialEq)]
pub struct Concept<'a> {
    /// Its name.
    pub name: &'a str,
    /// How much log-probability the answer loses without it.
    pub delta: f64,
    /// Where it is; what reaches beyond the image is cut off.
    pub boxes: Vec<BBox<Working>>,
    /// Its row in the matrix of [`Drops`].
    pub row: usize,
}

/// The concepts of one result, in the order, with the letters and by the hues of pictures, bars and words alike.
#[derive(Clone, Debug, PartialEq)]
pub struct Weighed<'a> {
    /// By Delta, the highest first; there is at least one.
    pub concepts: Vec<Concept<'a>>,
    /// What the method chose ([`chosen`]).
    pub chosen: Option<&'a str>,
    /// The place of the evidence among the concepts; nothing if no concept dominates or the method named none of them.
    pub winner: Option<usize>,
    /// Whether no concept dominates (`fallback`), so that the whole image is the evidence.
    pub fallback: bool,
    /// The Delta that the strongest must exceed to dominate, -ln `tau`.
    pub threshold: Option<f64>,
    /// The share of the strongest's Delta that sufficed for the evidence.
    pub share: f64,
    /// Whether the method stands by the result (`reliable`).
    pub reliable: bool,
    /// How many of how many masks of a segmenter were rejected (`segmenter`).
    pub rejected: Option<(usize, u64)>,
}

/// What each token of the answer loses without each concept.
#[derive(Clone, Debug, PartialEq)]
pub struct Drops<'a> {
    /// The tokens' texts, white space included.
    pub tokens: Vec<&'a str>,
    /// The drop of log-probability (concepts in the method's order, tokens).
    pub matrix: Vec<Vec<f64>>,
}

impl<'a> Weighed<'a> {
    /// `concepts`, each with `name`, `delta` and, if it likes, `boxes` in the working frame; `winner`, `fallback`,
    /// `reliable`, `tau`, `share` and `segmenter`. Nothing without concepts.
    pub fn of(evidence: &'a Map<String, Value>) -> Option<Self> {
        let mut concepts = concepts(evidence)?;
        concepts.sort_by(|a, b| b.delta.total_cmp(&a.delta));
        let fallback = fell_back(evidence);
        let chosen = chosen(evidence, fallback);
        let named = |concept: &Concept<'_>| !fallback && chosen == Some(concept.name);
        let share = |key| {
            let value = evidence.get(key).and_then(number);
            value.filter(|share| (0.0..=1.0).contains(share))
        };
        Some(Self {
            winner: concepts.iter().position(named),
            chosen,
            fallback,
            threshold: share("tau")
                .map(|tau: f64| -tau.ln())
                .filter(|delta| *delta > 0.0 && delta.is_finite()),
            share: share("share").unwrap_or(1.0),
            reliable: reliable(evidence),
            rejected: rejected(evidence),
            concepts,
        })
    }

    /// The hue of the concept at a place: 0 is the evidence's, 1 to 4 are the strongest others', 5 is the rest's.
    pub fn hue(&self, place: usize) -> usize {
        match self.winner {
            Some(winner) if place == winner => 0,
            Some(winner) if place > winner => place.min(HUES - 1),
            _ => (place + 1).min(HUES - 1),
        }
    }

    /// Places of the concepts to list: the strongest and the evidence.
    pub fn listed(&self) -> impl Iterator<Item = usize> {
        let winner = self.winner;
        (0..self.concepts.len()).filter(move |&place| place < LISTED || winner == Some(place))
    }

    /// Why the evidence need not have the highest Delta, if it has not.
    pub fn rule(&self) -> Option<String> {
        let weaker = self.winner.is_some_and(|winner| winner > 0) && self.share < 1.0;
        weaker.then(|| {
            let percent = (100.0 * self.share).round();
            format!("The evidence is the smallest concept with {percent} % of the highest Δ")
        })
    }

    /// That a segmenter's masks were rejected, if some were.
    pub fn rejection(&self) -> Option<String> {
        let (rejected, all) = self.rejected.filter(|(rejected, _)| *rejected > 0)?;
        Some(format!(
            "Masks of the segmenter that disagree with the regions found before are rejected: {rejected} of {all}"
        ))
    }

    /// A Delta as a share of the longest bar's, 0 to 1; the threshold has a place on the same scale.
    pub fn length(&self, delta: f64) -> f64 {
        let longest = self.concepts[0].delta.max(self.threshold.unwrap_or(0.0));
        if longest > 0.0 {
            (delta / longest).clamp(0.0, 1.0)
        } else {
            0.0
        }
    }
}

/// The letter of the concept at a place: a to z, then a1 to z1 and so on.
pub fn letter(place: usize) -> String {
    let letter = char::from(b'a' + (place % 26) as u8);
    match place / 26 {
        0 => letter.to_string(),
        round => format!("{letter}{round}"),
    }
}

/// Whether the method attributes the answer to the whole image (`fallback`).
pub fn fell_back(evidence: &Map<String, Value>) -> bool {
    evidence.get("fallback") == Some(&Value::Bool(true))
}

/// Whether the method stands by its result: it does not if it says so (`reliable`).
pub fn reliable(evidence: &Map<String, Value>) -> bool {
    evidence.get("reliable") != Some(&Value::Bool(false))
}

/// How many of how many masks of a segmenter the method rejected: `segmenter`, with the count `accepted` and the concepts
/// `rejected`.
fn rejected(evidence: &Map<String, Value>) -> Option<(usize, u64)> {
    let segmenter = evidence.get("segmenter")?;
    let rejected = list(segmenter.get("rejected")?, CONCEPTS)?.len();
    let accepted = segmenter.get("accepted")?.as_u64()?;
    Some((rejected, accepted.checked_add(rejected as u64)?))
}

/// What the method chose as evidence: a concept by its name (`winner`), or [`WHOLE_IMAGE`] if it fell back.
pub fn chosen(evidence: &Map<String, Value>, fallback: bool) -> Option<&str> {
    match evidence.get("winner")? {
        Value::String(_) | Value::Null if fallback => Some(WHOLE_IMAGE),
        winner => name(winner),
    }
}

/// `concepts`, in the method's order; there is at least one.
fn concepts(evidence: &Map<String, Value>) -> Option<Vec<Concept<'_>>> {
    let concepts = list(evidence.get("concepts")?, CONCEPTS)?;
    let concepts = concepts.iter().enumerate().map(|(row, concept)| {
        Some(Concept {
            name: name(concept.get("name")?)?,
            delta: number(concept.get("delta")?)?,
            boxes: concept.get("boxes").map(boxes).unwrap_or_default(),
            row,
        })
    });
    concepts.collect()
}

/// The boxes that are any, inside the working image.
fn boxes(value: &Value) -> Vec<BBox<Working>> {
    let corners = list(value, BOXES).into_iter().flatten();
    let boxes = corners.filter_map(|corners| {
        let corner = |at: usize| u32::try_from(corners.get(at)?.as_u64()?).ok();
        let [x1, y1, x2, y2] = [corner(0)?, corner(1)?, corner(2)?, corner(3)?];
        let bbox = BBox::new(x1, y1, x2, y2).ok()?;
        bbox.clip(WORKING_SIDE, WORKING_SIDE)
    });
    boxes.collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn weighed(said: &Value) -> Weighed<'_> {
        Weighed::of(said.as_object().unwrap()).unwrap()
    }

    #[test]
    fn the_evidence_has_its_own_hue_wherever_it_stands() {
        let deltas = [1.0, 7.0, 3.0, 6.0, 2.0, 5.0, 4.0];
        let concepts = deltas.map(|delta| json!({ "name": format!("{delta}"), "delta": delta }));
        let hues = |said: &Value| -> Vec<_> { (0..7).map(|at| weighed(said).hue(at)).collect() };
        let mut said = json!({ "concepts": concepts, "winner": "5" });
        let names: Vec<_> = weighed(&said)
            .concepts
            .iter()
            .map(|c| (c.name, c.row))
            .collect();
        assert_eq!(
            names,
            [
                ("7", 1),
                ("6", 3),
                ("5", 5),
                ("4", 6),
                ("3", 2),
                ("2", 4),
                ("1", 0)
            ]
        );
        assert_eq!(hues(&said), [1, 2, 0, 3, 4, 5, 5]);
        said["winner"] = json!("heart");
        assert_eq!(hues(&said), [1, 2, 3, 4, 5, 5, 5]);
        said["winner"] = json!("5");
        said["fallback"] = json!(true);
        assert_eq!(hues(&said), [1, 2, 3, 4, 5, 5, 5]);
        assert_eq!(weighed(&said).chosen, Some(WHOLE_IMAGE));
    }

    #[test]
    fn bars_and_threshold_share_a_scale() {
        let mut said =
            json!({ "concepts": [{ "name": "a", "delta": 0.2 }, { "name": "b", "delta": -1 }] });
        assert_eq!(
            [0.2, 0.1, -1.0].map(|delta| weighed(&said).length(delta)),
            [1.0, 0.5, 0.0]
        );
        // -ln tau = 0.4.
        said["tau"] = json!((-0.4_f64).exp());
        assert!((weighed(&said).length(0.2) - 0.5).abs() < 1e-12);
        for tau in [json!(0), json!(1), json!(-0.5), json!(7), json!("0.75")] {
            said["tau"] = tau;
            assert_eq!(weighed(&said).threshold, None, "{said}");
        }
    }

    #[test]
    fn letters_do_not_end() {
        let letters = [0, 25, 26, 51, 52].map(letter);
        assert_eq!(letters, ["a", "z", "a1", "z1", "a2"]);
    }
}
