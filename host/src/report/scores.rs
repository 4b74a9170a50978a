//! A method's results over the records of a group, each with the cluster it belongs to.

use std::collections::BTreeMap;

use super::measure::Measure;
use crate::{
    experiment::record::{MethodOutcome, MethodResult, Outcome, Record},
    statistics::{Comparison, holm},
};

/// Samples of one dataset that are not independent and are therefore drawn together: all of a patient where the dataset
/// says whose they are, else all of an image, whatever was asked about it, and of which model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cluster<'a> {
    /// By the name that the dataset gives the patient.
    Patient(&'a str),
    /// By the digest of the image.
    Image(&'a str),
    /// A sample whose image was never read, by its index.
    Sample(u64),
}

impl<'a> Cluster<'a> {
    /// The cluster of each record of a group.
    ///
    /// A patient known from one record of an image is the patient of every record of it: a journal may have been begun
    /// before its dataset, or this program, knew patients.
    pub fn of(records: &[&'a Record]) -> Vec<Self> {
        let subjects = records.iter().filter_map(|record| record.subject.as_ref());
        let patients: BTreeMap<&str, &str> = subjects
            .filter_map(|subject| Some((subject.image.as_str(), subject.patient.as_deref()?)))
            .collect();
        let cluster = |record: &&'a Record| match &record.subject {
            None => Self::Sample(record.case.index),
            Some(subject) => {
                let own = subject.patient.as_deref();
                own.or_else(|| patients.get(subject.image.as_str()).copied())
                    .map_or(Self::Image(&subject.image), Self::Patient)
            }
        };
        records.iter().map(cluster).collect()
    }
}

/// A method's result of each record of a group, if it has one.
pub struct MethodResults<'a>(Vec<(Cluster<'a>, Option<&'a MethodResult>)>);

impl<'a> MethodResults<'a> {
    /// A method's results, aligned with the records.
    pub fn of(method: &str, records: &[&'a Record]) -> Self {
        let result = |record: &&'a Record| match &record.outcome {
            Outcome::Attributed { results } => results.iter().find(|r| r.method == method),
            Outcome::Excluded { .. } | Outcome::Failed { .. } => None,
        };
        let results = records.iter().map(result);
        Self(Cluster::of(records).into_iter().zip(results).collect())
    }

    /// Samples it was asked about, and those of them on which it failed.
    pub fn counts(&self) -> (usize, usize) {
        let results = self.0.iter().filter_map(|(_, result)| *result);
        let failed = results
            .clone()
            .filter(|result| matches!(result.outcome, MethodOutcome::Failed { .. }));
        (results.clone().count(), failed.count())
    }

    /// The values of a measure where it applies.
    pub fn values(&self, measure: &Measure) -> impl Iterator<Item = (Cluster<'a>, f64)> {
        let values = self.0.iter();
        values.filter_map(|(cluster, result)| Some((*cluster, measure.of((*result)?)?)))
    }

    /// Both methods' values where both have one.
    pub fn pairs(
        &self,
        other: &Self,
        measure: &Measure,
    ) -> impl Iterator<Item = (Cluster<'a>, f64, f64)> {
        let pairs = self.0.iter().zip(&other.0);
        pairs.filter_map(|((cluster, ours), (_, theirs))| {
            Some((*cluster, measure.of((*ours)?)?, measure.of((*theirs)?)?))
        })
    }
}

/// The comparisons with their p values corrected for their number.
pub fn corrected(mut comparisons: Vec<Option<Comparison>>) -> Vec<Option<Comparison>> {
    let mut tested: Vec<&mut f64> = comparisons
        .iter_mut()
        .flatten()
        .filter_map(|comparison| comparison.p.as_mut())
        .collect();
    let p_values: Vec<f64> = tested.iter().map(|p| **p).collect();
    for (p, corrected) in tested.iter_mut().zip(holm(&p_values)) {
        **p = corrected;
    }
    comparisons
}
