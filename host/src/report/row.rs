//! What the samples of a group say of each method.

use super::{
    effect::{self, Effect},
    measure::Measure,
};
use crate::{
    experiment::{
        plan::{Plan, PlannedMethod},
        record::{MethodOutcome, MethodResult, Outcome, Record},
    },
    statistics::{Bootstrap, Comparison, Summary, holm},
};

/// A line of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The method.
    pub method: String,
    /// Whether it asks no model.
    pub control: bool,
    /// Samples it was asked about.
    pub attempted: usize,
    /// Of these, the ones it answered: all means are over them.
    pub scored: usize,
    /// The others.
    pub failed: usize,
    /// A mean for each measure, where it applies to any sample.
    pub values: Vec<Option<Summary>>,
    /// How much better it finds the region than the best control; nothing for controls.
    pub gain: Option<Gain>,
    /// How it differs from the method that it is compared with, if there is one.
    pub effect: Option<Effect>,
    /// Models of the group that it does not fit.
    pub without: Vec<String>,
}

/// A method's IoU less the best control's, on the samples that both scored.
#[derive(Clone, Debug, PartialEq)]
pub struct Gain {
    /// The control of the group that has the highest mean IoU.
    pub over: String,
    /// The difference, in percent, and its p value after Holm's correction over the methods of the group.
    pub comparison: Comparison,
}

/// A sample by dataset and index: what several models were asked is one cluster.
pub type Cluster<'a> = (&'a str, u64);

/// A method's result of each record of a group, if it has one.
pub struct MethodResults<'a>(Vec<(Cluster<'a>, Option<&'a MethodResult>)>);

impl<'a> MethodResults<'a> {
    /// A method's results, aligned with the records.
    pub fn of(method: &str, records: &[&'a Record]) -> Self {
        let result = |record: &'a Record| match &record.outcome {
            Outcome::Attributed { results } => results.iter().find(|r| r.method == method),
            Outcome::Excluded { .. } | Outcome::Failed { .. } => None,
        };
        let results = records.iter().map(|record| {
            let cluster = (record.case.dataset.as_str(), record.case.index);
            (cluster, result(record))
        });
        Self(results.collect())
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

    fn row(&self, method: &PlannedMethod, measures: &[Measure], bootstrap: Bootstrap) -> Row {
        let results = self.0.iter().filter_map(|(_, result)| *result);
        let attempted = results.clone().count();
        let failed = results
            .filter(|result| matches!(result.outcome, MethodOutcome::Failed { .. }))
            .count();
        let values = measures.iter().map(|measure| {
            let resamples = if measure.has_interval() {
                bootstrap.resamples
            } else {
                0
            };
            Bootstrap {
                resamples,
                ..bootstrap
            }
            .summary(self.values(measure))
        });
        Row {
            method: method.name.clone(),
            control: method.control,
            attempted,
            scored: attempted - failed,
            failed,
            values: values.collect(),
            gain: None,
            effect: None,
            without: Vec::new(),
        }
    }
}

/// The place of a method in every list of a report: in the order of the plan, but the controls last.
pub fn place(plan: &Plan, method: &str) -> (bool, usize) {
    let at = plan
        .methods
        .iter()
        .position(|planned| planned.name == method);
    let at = at.unwrap_or(plan.methods.len());
    (
        plan.methods.get(at).is_some_and(|planned| planned.control),
        at,
    )
}

/// A row for each method, in their order. The first measure is the one that gains are in.
pub fn rows(
    plan: &Plan,
    methods: &[&PlannedMethod],
    records: &[&Record],
    measures: &[Measure],
    bootstrap: Bootstrap,
) -> Vec<Row> {
    let results: Vec<MethodResults<'_>> = methods
        .iter()
        .map(|method| MethodResults::of(&method.name, records))
        .collect();
    let mut rows: Vec<Row> = methods
        .iter()
        .zip(&results)
        .map(|(method, results)| results.row(method, measures, bootstrap))
        .collect();
    if let (Some(best), [measure, ..]) = (best(&rows, |row| row.control), measures) {
        let gains: Vec<Option<Comparison>> = rows
            .iter()
            .zip(&results)
            .map(|(row, ours)| {
                let pairs = ours.pairs(&results[best], measure);
                (!row.control).then(|| bootstrap.compare(pairs)).flatten()
            })
            .collect();
        let over = rows[best].method.clone();
        for (row, comparison) in rows.iter_mut().zip(corrected(gains)) {
            row.gain = comparison.map(|comparison| Gain {
                over: over.clone(),
                comparison,
            });
        }
    }
    let references = methods.iter().map(|method| {
        let name = plan.reference(method)?;
        rows.iter().position(|row| row.method == name)
    });
    let references: Vec<Option<usize>> = references.collect();
    let effects = effect::effects(&rows, &results, &references, measures, bootstrap);
    for (row, effect) in rows.iter_mut().zip(effects) {
        row.effect = effect;
    }
    rows
}

/// The row with the highest mean of the first measure, the first of equals, among those that are wanted.
pub fn best(rows: &[Row], wanted: impl Fn(&Row) -> bool) -> Option<usize> {
    let means = rows.iter().enumerate().filter(|(_, row)| wanted(row));
    let means = means.filter_map(|(at, row)| Some((at, row.values.first()?.as_ref()?.mean)));
    means
        .reduce(|best, next| if next.1 > best.1 { next } else { best })
        .map(|(at, _)| at)
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
