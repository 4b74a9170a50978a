//! The sanity checks: how alike two results of a method are when something it should depend on was changed.

use crate::{
    experiment::{
        record::{Change, SanityOutcome},
        results::Results,
    },
    statistics::{Bootstrap, Summary},
};

/// A model, a method and a change.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// The model.
    pub model: String,
    /// The method.
    pub method: String,
    /// What was changed.
    pub change: Change,
    /// Mean rank correlation of the two maps, where there are maps.
    pub correlation: Option<Summary>,
    /// Mean IoU of the two regions, in percent.
    pub region_iou: Option<Summary>,
    /// Samples with both results.
    pub compared: usize,
    /// Samples without one of them.
    pub failed: usize,
}

/// The checks by model and method, controls last, and change, over all datasets and modes.
pub fn checks(results: &Results) -> Vec<Check> {
    let place = |model: &str, method: &str| {
        let model = results.plan.models.iter().position(|m| m.name == model);
        (model, results.plan.place(method))
    };
    let mut keys: Vec<(&str, &str, Change)> = results
        .sanity
        .iter()
        .filter_map(|record| {
            let method = record.method.as_deref()?;
            Some((record.case.model.as_str(), method, record.change))
        })
        .collect();
    keys.sort_by_key(|&(model, method, change)| (place(model, method), change));
    keys.dedup();
    keys.into_iter()
        .map(|(model, method, change)| {
            let same = results.sanity.iter().filter(|record| {
                record.case.model == model
                    && record.method.as_deref() == Some(method)
                    && record.change == change
            });
            let outcomes: Vec<&SanityOutcome> = same.map(|record| &record.outcome).collect();
            let (mut correlations, mut overlaps) = (Vec::new(), Vec::new());
            for outcome in &outcomes {
                if let SanityOutcome::Compared {
                    rank_correlation,
                    region_iou,
                } = outcome
                {
                    correlations.extend(*rank_correlation);
                    overlaps.push(100.0 * region_iou);
                }
            }
            Check {
                model: model.to_owned(),
                method: method.to_owned(),
                change,
                compared: overlaps.len(),
                failed: outcomes.len() - overlaps.len(),
                correlation: mean(&correlations),
                region_iou: mean(&overlaps),
            }
        })
        .collect()
}

fn mean(values: &[f64]) -> Option<Summary> {
    let plain = Bootstrap {
        resamples: 0,
        seed: 0,
    };
    plain.summary(values.iter().copied().enumerate())
}
