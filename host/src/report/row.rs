//! What the samples of a group say of each method.

use medfocus_plugin_api::Result;

use super::{
    effect::{self, Effect},
    measure::Measure,
    scores::{MethodResults, Part, Wanted, corrected},
};
use crate::{
    experiment::plan::{Plan, PlannedMethod},
    statistics::{Bootstrap, Comparison, Summary},
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

impl Row {
    fn new(
        method: &PlannedMethod,
        results: &MethodResults<'_>,
        measures: &[Measure],
        bootstrap: Bootstrap,
    ) -> Result<Self> {
        let (attempted, failed) = results.counts()?;
        let values = measures.iter().enumerate().map(|(at, measure)| {
            let resamples = if measure.has_interval() {
                bootstrap.resamples
            } else {
                0
            };
            let bootstrap = Bootstrap {
                resamples,
                ..bootstrap
            };
            let values = results.values(at)?;
            Ok(bootstrap.summary(values.map(|(sample, value)| (sample.cluster, value))))
        });
        Ok(Self {
            method: method.name.clone(),
            control: method.control,
            attempted,
            scored: attempted - failed,
            failed,
            values: values.collect::<Result<_>>()?,
            gain: None,
            effect: None,
            without: Vec::new(),
        })
    }
}

/// A row for each method, in their order. The first measure is the one that gains are in.
pub fn rows(
    plan: &Plan,
    methods: &[&PlannedMethod],
    samples: &Part<'_>,
    measures: &[Measure],
    bootstrap: Bootstrap,
) -> Result<Vec<Row>> {
    let results: Vec<MethodResults<'_>> = methods
        .iter()
        .map(|method| samples.results(&method.name, Wanted::Explained))
        .collect();
    let mut rows: Vec<Row> = methods
        .iter()
        .zip(&results)
        .map(|(method, results)| Row::new(method, results, measures, bootstrap))
        .collect::<Result<_>>()?;
    if let Some(best) = best(&rows, |row| row.control) {
        let gains = rows.iter().zip(&results).map(|(row, ours)| {
            let pairs = ours.pairs(&results[best], 0)?;
            Ok((!row.control).then(|| bootstrap.compare(pairs)).flatten())
        });
        let gains: Vec<Option<Comparison>> = gains.collect::<Result<_>>()?;
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
    let effects = effect::effects(methods, &results, &references, measures, bootstrap)?;
    for (row, effect) in rows.iter_mut().zip(effects) {
        row.effect = effect;
    }
    Ok(rows)
}

/// The row with the highest mean of the first measure, the first of equals, among those that are wanted.
pub fn best(rows: &[Row], wanted: impl Fn(&Row) -> bool) -> Option<usize> {
    let means = rows.iter().enumerate().filter(|(_, row)| wanted(row));
    let means = means.filter_map(|(at, row)| Some((at, row.values.first()?.as_ref()?.mean)));
    means
        .reduce(|best, next| if next.1 > best.1 { next } else { best })
        .map(|(at, _)| at)
}
