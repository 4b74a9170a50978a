//! Choosing swept parameters on a split of their own, before any test sample is seen.

use std::collections::BTreeMap;

use medfocus_plugin_api::{Error, Result};

use super::{
    cast::with_params,
    explaining::Explaining,
    filtered::Filtered,
    part::Part,
    phase::Phase,
    plan::{Cell, Plan, Tuned},
    record::{MethodOutcome, Outcome, Record},
    results,
    stage::Stage,
    workers::Crew,
};
use crate::{
    metrics::{Direction, METRICS},
    output::OutDir,
    plugin::nearest,
    workbench::{Ready, Workbench},
};

/// Scores every candidate of every swept method on the tuning split, for each model and mode.
///
/// # Errors
///
/// Those of a run.
pub(super) fn score(bench: &Workbench, crew: &mut Crew, part: &Part<'_>) -> Result<Vec<Record>> {
    let plan = part.plan;
    let cells = Phase::Tuning.cells(plan);
    if cells.is_empty() {
        return Ok(Vec::new());
    }
    // Only the tuning metric counts here.
    let mut without_curves = plan.clone();
    without_curves.experiment.curves = None;
    without_curves.experiment.flips = None;
    let (journal, held) = part.journal(Phase::Tuning)?;
    let explaining = Explaining {
        plan: &without_curves,
        folder: None,
        filtered: &Filtered::default(),
        methods: &|cell, model, bench| candidates(bench, plan, cell, model),
    };
    let stage = Stage {
        session: &bench.session,
        plan: &without_curves,
        part,
        phase: Phase::Tuning,
        cells: &cells,
        note: "tuning samples",
    };
    let scored = stage.run(crew, &journal, held, false, &|bench, model, desk| {
        explaining.work(bench, model, desk)
    })?;
    Ok(scored.records)
}

/// Chooses the candidate with the best mean over the samples that all of them scored, for each model and mode; the first of
/// equals.
///
/// # Errors
///
/// No two candidates of a method can be compared.
pub(super) fn choose(plan: &Plan, records: &[Record]) -> Result<Vec<Tuned>> {
    let cells = Phase::Tuning.cells(plan);
    let tuned = cells.iter().map(|cell| winners(plan, cell, records));
    Ok(tuned.collect::<Result<Vec<_>>>()?.concat())
}

/// Writes `tuned.json`, where anything was to be chosen.
///
/// # Errors
///
/// The disk fails.
pub(super) fn write(folder: &OutDir, plan: &Plan, tuned: &[Tuned]) -> Result<()> {
    if !Phase::Tuning.cells(plan).is_empty() {
        folder.json(results::TUNED, &tuned)?;
    }
    Ok(())
}

/// Checks that a metric can choose between candidates.
///
/// # Errors
///
/// There is no such metric of an attribution, or lower is better.
pub(super) fn check_metric(name: &str) -> Result<()> {
    let known = || {
        let metrics = METRICS.iter().map(|(metric, _)| metric);
        metrics.filter(|metric| metric.direction == Direction::HigherIsBetter)
    };
    if known().any(|metric| metric.name == name) {
        return Ok(());
    }
    let hint = match nearest(name, known().map(|metric| metric.name)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`iou` is the paper's".to_owned(),
    };
    Err(Error::invalid(format!(
        "`experiment.tuning.metric` is `{name}`, by which nothing can be chosen"
    ))
    .with_hint(hint))
}

/// The name of a method's candidate in the tuning journal.
fn label(method: &str, number: usize) -> String {
    format!("{method}#{number}")
}

fn candidates(
    bench: &Workbench,
    plan: &Plan,
    cell: &Cell,
    model: &Ready,
) -> Result<Vec<(String, Ready)>> {
    let mut made = Vec::new();
    for config in &plan.experiment.methods {
        let name = config.label();
        let method = plan
            .method(name)
            .filter(|_| cell.methods.iter().any(|m| m == name));
        for (number, candidate) in method.iter().flat_map(|m| m.candidates.iter().enumerate()) {
            let mut filling = config.filling();
            with_params(&mut filling, candidate)?;
            let recipe = bench.plan_method(&filling, &model.manifest)?;
            made.push((label(name, number), bench.make(&recipe, Some(model))?));
        }
    }
    Ok(made)
}

/// The winners of one model and mode.
///
/// # Errors
///
/// No two candidates can be compared.
fn winners(plan: &Plan, cell: &Cell, records: &[Record]) -> Result<Vec<Tuned>> {
    let metric = plan
        .experiment
        .tuning
        .as_ref()
        .map_or("", |tuning| &tuning.metric);
    let records: Vec<&Record> = records
        .iter()
        .filter(|record| record.case.model == cell.model && record.case.mode == cell.mode)
        .collect();
    let swept = plan
        .methods
        .iter()
        .filter(|method| !method.candidates.is_empty())
        .filter(|method| cell.methods.contains(&method.name));
    swept
        .map(|method| {
            let scores = (0..method.candidates.len())
                .map(|number| scores(&records, &label(&method.name, number), metric))
                .collect::<Vec<_>>();
            let means = means(&scores);
            let best = (0..means.len())
                .filter_map(|number| Some((number, means[number]?)))
                .reduce(|best, next| if next.1 > best.1 { next } else { best });
            let Some((best, _)) = best else {
                return Err(nothing_to_choose(cell, &method.name, metric, &records));
            };
            Ok(Tuned {
                model: cell.model.clone(),
                mode: cell.mode,
                method: method.name.clone(),
                params: method.candidates[best].clone(),
                candidates: method.candidates.iter().cloned().zip(means).collect(),
            })
        })
        .collect()
}

/// The values of a candidate by sample.
fn scores(records: &[&Record], candidate: &str, metric: &str) -> BTreeMap<u64, f64> {
    let value = |record: &&Record| {
        let Outcome::Attributed { results } = &record.outcome else {
            return None;
        };
        let result = results.iter().find(|result| result.method == candidate)?;
        let MethodOutcome::Scored { metrics, .. } = &result.outcome else {
            return None;
        };
        Some((record.case.index, *metrics.get(metric)?))
    };
    records.iter().filter_map(value).collect()
}

/// The mean of each candidate over the samples that all of them scored, so that none wins by failing where it is hard;
/// nothing for a candidate that scored none, which the others do not wait for, or if no sample is common.
fn means(scores: &[BTreeMap<u64, f64>]) -> Vec<Option<f64>> {
    let alive = || scores.iter().filter(|scores| !scores.is_empty());
    let common: Vec<u64> = alive()
        .next()
        .into_iter()
        .flat_map(|first| first.keys().copied())
        .filter(|sample| alive().all(|scores| scores.contains_key(sample)))
        .collect();
    let mean = |scores: &BTreeMap<u64, f64>| {
        let sum: f64 = common.iter().map(|sample| scores[sample]).sum();
        sum / common.len() as f64
    };
    scores
        .iter()
        .map(|scores| (!scores.is_empty() && !common.is_empty()).then(|| mean(scores)))
        .collect()
}

/// Why no candidate of a method was chosen.
fn nothing_to_choose(cell: &Cell, method: &str, metric: &str, records: &[&Record]) -> Error {
    let asked = || {
        let results = records.iter().flat_map(|record| match &record.outcome {
            Outcome::Attributed { results } => results.as_slice(),
            Outcome::Excluded { .. } | Outcome::Failed { .. } => &[],
        });
        results.filter(|result| {
            let number = result.method.strip_prefix(method);
            number.is_some_and(|number| number.starts_with('#'))
        })
    };
    let failed = asked().find_map(|result| match &result.outcome {
        MethodOutcome::Failed { error } => Some(error),
        MethodOutcome::Scored { .. } => None,
    });
    let why = match failed {
        _ if asked().next().is_none() => "no tuning sample was explained".to_owned(),
        Some(error) => {
            format!("no tuning sample was scored by all candidates; the first failure: {error}")
        }
        None => format!("no candidate has a value of `{metric}` on any tuning sample"),
    };
    let (model, mode) = (&cell.model, cell.mode.name());
    Error::invalid(format!(
        "the parameters of `{method}` cannot be chosen for {model}, {mode}: {why}"
    ))
    .with_hint("see `experiment.tuning`: another split or more samples, or give the parameters one value each")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(values: &[(u64, f64)]) -> BTreeMap<u64, f64> {
        values.iter().copied().collect()
    }

    #[test]
    fn a_candidate_that_fails_on_hard_samples_does_not_win_by_it() {
        // Sample 2 is hard: who scored it has the lower mean over its own samples, and yet is better on each.
        let careless = scores(&[(0, 0.6), (1, 0.6)]);
        let careful = scores(&[(0, 0.7), (1, 0.7), (2, 0.1)]);
        let broken = scores(&[]);
        let means = means(&[careless, careful, broken]);
        assert_eq!(means, [Some(0.6), Some(0.7), None]);
    }

    #[test]
    fn without_a_common_sample_there_is_no_mean() {
        let (first, second) = (scores(&[(0, 0.6)]), scores(&[(1, 0.7)]));
        assert_eq!(means(&[first, second]), [None, None]);
        assert_eq!(means(&[scores(&[]), scores(&[])]), [None, None]);
    }
}
