//! What failed, and why.

use std::collections::HashMap;

use medfocus_plugin_api::{Error, Mode};

use super::text;
use crate::experiment::{
    record::{CaseKey, Change, MethodOutcome, Outcome, SanityOutcome},
    results::Results,
};

/// Samples that failed with the same sentence.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Failure {
    /// Their dataset.
    pub dataset: String,
    /// Their mode.
    pub mode: Mode,
    /// Their model.
    pub model: String,
    /// The method that failed; nothing if the sample itself did.
    pub method: Option<String>,
    /// The sanity check in which it failed, if it was in one.
    pub change: Option<Change>,
    /// The samples.
    pub samples: Vec<u64>,
    /// Why.
    pub sentence: String,
}

/// The failures, each sentence once, in the order of their first samples.
pub fn failures(results: &Results) -> Vec<Failure> {
    let mut found = Found::default();
    for record in &results.records {
        match &record.outcome {
            Outcome::Failed { error } => found.add(&record.case, None, None, error),
            Outcome::Excluded { .. } => {}
            Outcome::Attributed { results } => {
                for result in results {
                    if let MethodOutcome::Failed { error } = &result.outcome {
                        found.add(&record.case, Some(&result.method), None, error);
                    }
                }
            }
        }
    }
    for record in &results.sanity {
        if let SanityOutcome::Failed { error } = &record.outcome {
            found.add(
                &record.case,
                record.method.as_ref(),
                Some(record.change),
                error,
            );
        }
    }
    found.failures
}

#[derive(Default)]
struct Found {
    failures: Vec<Failure>,
    /// Where a failure without its samples is in the list.
    places: HashMap<Failure, usize>,
}

impl Found {
    fn add(
        &mut self,
        case: &CaseKey,
        method: Option<&String>,
        change: Option<Change>,
        error: &Error,
    ) {
        let failure = Failure {
            dataset: case.dataset.clone(),
            mode: case.mode,
            model: case.model.clone(),
            method: method.cloned(),
            change,
            samples: Vec::new(),
            sentence: error.to_string(),
        };
        let place = *self.places.entry(failure.clone()).or_insert_with(|| {
            self.failures.push(failure);
            self.failures.len() - 1
        });
        self.failures[place].samples.push(case.index);
    }
}

impl Failure {
    /// Where it happened, in words.
    pub fn place(&self) -> String {
        let mut place = vec![
            self.dataset.clone(),
            self.mode.name().to_owned(),
            self.model.clone(),
        ];
        place.extend(self.method.clone());
        place.extend(
            self.change
                .map(|change| format!("check {}", text::change(change))),
        );
        place.join(", ")
    }

    /// The samples' numbers.
    pub fn numbers(&self) -> String {
        let numbers = self.samples.iter().map(u64::to_string);
        numbers.collect::<Vec<_>>().join(", ")
    }
}
