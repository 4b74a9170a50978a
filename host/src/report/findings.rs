//! How well each method finds the region of each finding.

use std::{cmp::Reverse, collections::BTreeMap};

use medfocus_plugin_api::Result;

use super::{
    cluster::Cluster,
    row::Row,
    scores::{Fate, Part, Wanted},
};
use crate::statistics::{Bootstrap, Summary};

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

/// The findings of a group, the most frequent first, then by name. The first measure is IoU.
///
/// # Errors
///
/// The disk fails.
pub fn findings(rows: &[Row], samples: &Part<'_>) -> Result<Vec<Finding>> {
    let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
    let explained = samples
        .samples()
        .filter(|sample| sample.fate == Fate::Explained);
    for finding in explained.filter_map(|sample| sample.finding) {
        *counts.entry(finding).or_default() += 1;
    }
    let mut findings: BTreeMap<u32, Finding> = counts
        .into_iter()
        .map(|(number, count)| {
            let finding = Finding {
                name: samples.finding(number).to_owned(),
                samples: count,
                values: Vec::new(),
            };
            (number, finding)
        })
        .collect();
    let plain = Bootstrap {
        resamples: 0,
        seed: 0,
    };
    for row in rows {
        let mut values: BTreeMap<u32, Vec<(Cluster, f64)>> = BTreeMap::new();
        for (sample, value) in samples.results(&row.method, Wanted::Explained).values(0)? {
            if let Some(finding) = sample.finding {
                values
                    .entry(finding)
                    .or_default()
                    .push((sample.cluster, value));
            }
        }
        for (number, finding) in &mut findings {
            let values = values.remove(number).unwrap_or_default();
            finding.values.push(plain.summary(values));
        }
    }
    let mut findings: Vec<Finding> = findings.into_values().collect();
    findings.sort_by(|a, b| (Reverse(a.samples), &a.name).cmp(&(Reverse(b.samples), &b.name)));
    Ok(findings)
}
