//! What the causal filter found, by sample.

use std::collections::HashMap;

use medfocus_plugin_api::Mode;

use super::{plan::Cell, record::CaseKey};
use crate::causal::{
    gate::Group,
    record::{FilterOutcome, FilterRecord, Judgement},
};

/// What the filter found, sample by sample.
#[derive(Clone, Debug, Default)]
pub struct Filtered(HashMap<CaseKey, Found>);

#[derive(Clone, Debug)]
struct Found {
    outcome: FilterOutcome,
    /// Number of grounded samples before it in its cell, if it is one.
    rank: Option<u64>,
}

impl Filtered {
    /// The findings about the samples of a plan, in its order.
    pub fn new(records: &[FilterRecord]) -> Self {
        let mut grounded: HashMap<(&str, &str, Mode), u64> = HashMap::new();
        let found = records.iter().map(|record| {
            let case = &record.case;
            let judged = record.judgement();
            let rank = judged.is_some_and(|judged| judged.group == Group::Grounded);
            let rank = rank.then(|| {
                let cell = (case.dataset.as_str(), case.model.as_str(), case.mode);
                let before = grounded.entry(cell).or_default();
                *before += 1;
                *before - 1
            });
            let outcome = record.outcome.clone();
            (case.clone(), Found { outcome, rank })
        });
        Self(found.collect())
    }

    /// What came of a sample, if the filter met it.
    pub fn outcome(&self, case: &CaseKey) -> Option<&FilterOutcome> {
        self.0.get(case).map(|found| &found.outcome)
    }

    /// What the model answered about a sample, if it came so far.
    pub fn judgement(&self, case: &CaseKey) -> Option<&Judgement> {
        match self.outcome(case)? {
            FilterOutcome::Judged(judgement) => Some(judgement),
            _ => None,
        }
    }

    /// The place of a sample among the grounded ones of its cell; in the cell where nothing was filtered.
    pub fn rank(&self, cell: &Cell, index: u64) -> Option<u64> {
        match self.0.get(&cell.case(index)) {
            Some(found) => found.rank,
            None => cell.place(index),
        }
    }
}
