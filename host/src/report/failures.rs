//! What failed, and why.

use std::collections::HashMap;

use medfocus_plugin_api::{Error, Mode};

use super::text;
use crate::experiment::record::{
    CaseKey, Change, MethodOutcome, Outcome, Record, SanityOutcome, SanityRecord,
};

/// At most so many sentences are listed.
const SENTENCES: usize = 1000;
/// At most so many samples of each.
const SAMPLES: usize = 100;

/// What failed, each sentence once, in the order of their first samples.
#[derive(Clone, Debug, Default)]
pub struct Failures {
    /// The first ones.
    pub listed: Vec<Failure>,
    /// How often something failed with another sentence.
    pub others: u64,
    /// Where a failure without its samples is in the list.
    places: HashMap<Failure, usize>,
}

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
    /// How many.
    pub count: u64,
    /// The first of them.
    pub samples: Vec<u64>,
    /// Why.
    pub sentence: String,
}

impl Failures {
    /// Adds what failed of a sample.
    pub fn add(&mut self, record: &Record) {
        match &record.outcome {
            Outcome::Failed { error } => self.count(&record.case, None, None, error),
            Outcome::Excluded { .. } => {}
            Outcome::Attributed { results } => {
                for result in results {
                    if let MethodOutcome::Failed { error } = &result.outcome {
                        self.count(&record.case, Some(&result.method), None, error);
                    }
                }
            }
        }
    }

    /// Adds a sanity check, if it failed.
    pub fn add_check(&mut self, record: &SanityRecord) {
        if let SanityOutcome::Failed { error } = &record.outcome {
            let (method, change) = (record.method.as_ref(), Some(record.change));
            self.count(&record.case, method, change, error);
        }
    }

    /// Whether nothing failed.
    pub fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }

    /// The failures that are not listed, in words.
    pub fn rest(&self) -> Option<String> {
        let others = text::count(self.others, "failure");
        (self.others > 0).then(|| format!("{others} with other sentences: see the journal."))
    }

    fn count(
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
            count: 0,
            samples: Vec::new(),
            sentence: error.to_string(),
        };
        let known = self.places.get(&failure).copied();
        if known.is_none() && self.listed.len() == SENTENCES {
            self.others += 1;
            return;
        }
        let place = known.unwrap_or_else(|| {
            self.listed.push(failure.clone());
            self.places.insert(failure, self.listed.len() - 1);
            self.listed.len() - 1
        });
        let failure = &mut self.listed[place];
        failure.count += 1;
        if failure.samples.len() < SAMPLES {
            failure.samples.push(case.index);
        }
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

    /// The samples' numbers, the first ones.
    pub fn numbers(&self) -> String {
        let numbers = self.samples.iter().map(u64::to_string);
        let numbers = numbers.collect::<Vec<_>>().join(", ");
        match self.count - self.samples.len() as u64 {
            0 => numbers,
            more => format!("{numbers} and {more} more"),
        }
    }
}
