//! What a model answers when its image is taken away, or is another patient's.

use std::collections::BTreeMap;

use super::{
    sheet::Sheet,
    text::{self, number},
};
use crate::experiment::record::{SanityOutcome, SanityRecord};

const READING: &str = "The model was asked the same question about a black image and about another patient's. In percent: \
    answers that stay the same, right answers with the own image, and right ones, by the own patient's truth, with that. A model whose \
    answers stay the same, or stay right, reads them off the question and not off the image, whatever a map shows.";

/// Whether an answer stayed the same, and was right before and after, where that is known.
type Answer = (bool, Option<[bool; 2]>);

/// A line for each model, mode and change; nothing if no answer was checked.
pub fn sheet(records: &[SanityRecord]) -> Option<Sheet> {
    let mut lines: BTreeMap<_, Vec<Answer>> = BTreeMap::new();
    for record in records {
        if let SanityOutcome::Answered { same, right, .. } = record.outcome {
            let case = &record.case;
            let line = (case.model.as_str(), case.mode.name(), record.change);
            lines.entry(line).or_default().push((same, right));
        }
    }
    let names = ["model", "mode", "shown"];
    let columns = ["answers", "the same", "right with its image", "right"];
    let mut sheet = Sheet::new("Answers to another image", READING, &names, &columns);
    for ((model, mode, change), answers) in lines {
        let share = |values: Vec<bool>| {
            let count = values.iter().filter(|&&value| value).count();
            match values.len() {
                0 => String::new(),
                all => number(100.0 * count as f64 / all as f64),
            }
        };
        let right = |at: usize| {
            share(
                answers
                    .iter()
                    .filter_map(|(_, r)| Some(r.as_ref()?[at]))
                    .collect(),
            )
        };
        sheet.rows.push(vec![
            model.to_owned(),
            mode.to_owned(),
            text::change(change),
            answers.len().to_string(),
            share(answers.iter().map(|(same, _)| *same).collect()),
            right(0),
            right(1),
        ]);
    }
    sheet.some()
}
