//! How well each method finds the region of each finding.

use super::{measure::Measure, row::Row, scores::MethodResults};
use crate::{
    experiment::record::{Outcome, Record},
    statistics::{Bootstrap, Summary},
};

/// A finding and the mean IoU of each method.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// What was asked about.
    pub name: String,
    /// Samples that the methods were asked about.
    pub samples: usize,
    /// Means without intervals, in the order of the rows.
    pub values: Vec<Option<Summary>>,
}

/// The findings of a group, the most frequent first, then by name.
pub fn findings(rows: &[Row], records: &[&Record], measure: &Measure) -> Vec<Finding> {
    let explained: Vec<(&str, &Record)> = records
        .iter()
        .filter(|record| matches!(record.outcome, Outcome::Attributed { .. }))
        .filter_map(|record| Some((record.subject.as_ref()?.finding.as_str(), *record)))
        .collect();
    let mut names: Vec<&str> = explained.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    names.dedup();
    let plain = Bootstrap {
        resamples: 0,
        seed: 0,
    };
    let mut findings: Vec<Finding> = names
        .into_iter()
        .map(|name| {
            let about = explained.iter().filter(|(other, _)| *other == name);
            let records: Vec<&Record> = about.map(|(_, record)| *record).collect();
            let value =
                |row: &Row| plain.summary(MethodResults::of(&row.method, &records).values(measure));
            Finding {
                name: name.to_owned(),
                samples: records.len(),
                values: rows.iter().map(value).collect(),
            }
        })
        .collect();
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.samples));
    findings
}
