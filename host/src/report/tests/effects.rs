//! Methods beside the one they are compared with: the numbers worked out by hand, in every format.

use std::collections::BTreeMap;

use super::{
    Files,
    synthetic::{self, Made},
};
use crate::{
    experiment::{
        plan::Plan,
        record::{MethodOutcome, MethodResult, Outcome},
    },
    report::{
        effect::{Effect, Verdict},
        headline::{by_reference, effects as sentences},
        table::Group,
        text::{number, p_value, signed},
    },
    statistics::{Bootstrap, holm},
};

/// All compared with `drift`, but `focus` with `both_lungs`; the controls because they say so.
fn results() -> Made {
    let mut results = synthetic::results();
    results.plan.experiment.compare = Some("drift".to_owned());
    for method in &mut results.plan.experiment.methods {
        method.compare = match method.label() {
            "focus" => Some("both_lungs".to_owned()),
            "both_lungs" | "centre_box" => Some("drift".to_owned()),
            _ => None,
        };
    }
    results
}

fn each_result(results: &mut Made, mut change: impl FnMut(&mut MethodResult)) {
    for record in &mut results.records {
        if let Outcome::Attributed { results } = &mut record.outcome {
            results.iter_mut().for_each(&mut change);
        }
    }
}

fn effect<'a>(group: &'a Group, method: &str) -> Option<&'a Effect> {
    let row = group.rows.iter().find(|row| row.method == method);
    row.unwrap().effect.as_ref()
}

fn close(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
}

#[test]
fn differences_are_paired_and_corrected() {
    let table = results().table(400);
    let [pooled, alpha, _] = table.sections[0].groups.as_slice() else {
        panic!();
    };
    assert_eq!(
        effect(alpha, "drift"),
        None,
        "it is what others are compared with"
    );
    // `attention` has the noise of `drift`: on every sample the difference is that of the levels.
    let attention = effect(alpha, "attention").unwrap();
    for value in [
        attention.iou.difference.mean,
        attention.iou.difference.low.unwrap(),
        attention.iou.difference.high.unwrap(),
    ] {
        close(value, 17.0 - 24.0);
    }
    assert_eq!((attention.iou.difference.n, attention.changed), (8, 8));
    assert_eq!(attention.verdict(), Verdict::Differs);

    // Sample 7 failed with alpha; what is left of the noise of controls and methods sums to zero.
    let focus = effect(alpha, "focus").unwrap();
    assert_eq!(
        (focus.reference.as_str(), focus.iou.difference.n),
        ("both_lungs", 7)
    );
    close(focus.iou.difference.mean, 21.0);
    close(
        effect(pooled, "focus").unwrap().iou.difference.mean,
        (7.0 * 21.0 + 8.0 * 31.0) / 15.0,
    );

    let lungs = effect(alpha, "both_lungs").unwrap();
    close(lungs.iou.difference.mean, 22.0 - 24.0);
    assert_eq!(lungs.verdict(), Verdict::NotSeen);

    // F1 is 2 IoU / (1 + IoU); Holm's correction is over the four that are compared.
    let method = [6.0, -10.0, 12.0, -8.0, 3.0, -9.0, 6.0, 0.0];
    let control = [-4.0, 5.0, -3.0, 2.0, 4.0, -6.0, 2.0, 0.0];
    let f1 = |iou: f64| 200.0 * iou / (100.0 + iou);
    let bootstrap = Bootstrap {
        resamples: 400,
        seed: 20,
    };
    let compare = |n: usize, pair: &dyn Fn(usize) -> (f64, f64)| {
        let pairs = (0..n).map(|i| (i, f1(pair(i).0), f1(pair(i).1)));
        bootstrap.compare(pairs).unwrap()
    };
    let expected = [
        (
            "focus",
            compare(7, &|i| (43.0 + method[i], 22.0 + control[i])),
        ),
        (
            "attention",
            compare(8, &|i| (17.0 + method[i], 24.0 + method[i])),
        ),
        (
            "both_lungs",
            compare(8, &|i| (22.0 + control[i], 24.0 + method[i])),
        ),
        (
            "centre_box",
            compare(8, &|i| (11.0 + control[i], 24.0 + method[i])),
        ),
    ];
    let corrected = holm(&expected.map(|(_, comparison)| comparison.p.unwrap()));
    for ((method, comparison), p) in expected.iter().zip(corrected) {
        let found = &effect(alpha, method).unwrap().f1;
        close(found.difference.mean, comparison.difference.mean);
        close(found.p.unwrap(), p);
    }
}

#[test]
fn controls_are_compared_only_if_they_say_so() {
    let mut results = synthetic::results();
    results.plan.experiment.compare = Some("focus".to_owned());
    let table = results.table(400);
    let group = &table.sections[0].groups[1];
    let compared = group.rows.iter().filter(|row| row.effect.is_some());
    let names: Vec<_> = compared.map(|row| row.method.as_str()).collect();
    assert_eq!(names, ["drift", "attention"]);
}

#[test]
fn a_change_without_consequence_is_called_so() {
    let mut results = results();
    let mut drift = None;
    each_result(&mut results, |result| match result.method.as_str() {
        "drift" => drift = Some(result.outcome.clone()),
        "attention" => result.outcome = drift.clone().unwrap(),
        _ => {}
    });
    let table = results.table(400);
    let alpha = &table.sections[0].groups[1];
    let same = effect(alpha, "attention").unwrap();
    assert_eq!((same.changed, same.verdict()), (0, Verdict::Same));
    assert_eq!(
        sentences(alpha),
        [
            "Of 1 method compared with both_lungs, by IoU: focus (+21.00) differs.",
            "Of 3 methods compared with drift, by IoU: centre_box (-13.00) differs.",
        ]
    );
    each_result(&mut results, |result| {
        if let MethodOutcome::Scored { metrics, .. } = &mut result.outcome {
            metrics.insert("iou".to_owned(), 0.5);
        }
    });
    let table = results.table(400);
    let found = sentences(&table.sections[0].groups[1]);
    assert!(found[1].ends_with("none is seen to differ."), "{found:?}");
}

#[test]
fn the_largest_difference_stands_first() {
    let table = results().table(400);
    let of: Vec<_> = by_reference(&table.sections[0].groups[1])
        .into_iter()
        .map(|(reference, rows)| {
            let rows = rows.into_iter().map(|(row, _)| row.method.as_str());
            (reference, rows.collect::<Vec<_>>())
        })
        .collect();
    let beside_drift = vec!["centre_box", "attention", "both_lungs"];
    assert_eq!(of, [("both_lungs", vec!["focus"]), ("drift", beside_drift)]);
}

#[test]
fn verdicts_need_an_interval_and_a_small_p() {
    let table = results().table(400);
    let effect = effect(&table.sections[0].groups[1], "attention").unwrap();
    for (low, high, p, changed, verdict) in [
        (Some(-3.0), Some(-1.0), Some(0.04), 8, Verdict::Differs),
        (Some(1.0), Some(3.0), Some(0.001), 1, Verdict::Differs),
        (Some(1.0), Some(3.0), Some(0.05), 8, Verdict::MayDiffer),
        (Some(-1.0), Some(3.0), Some(0.01), 8, Verdict::NotSeen),
        (Some(0.0), Some(3.0), Some(0.01), 8, Verdict::NotSeen),
        (Some(0.0), Some(0.0), Some(1.0), 0, Verdict::Same),
        (None, None, None, 8, Verdict::Open),
    ] {
        let mut effect = effect.clone();
        (effect.iou.difference.low, effect.iou.difference.high) = (low, high);
        (effect.iou.p, effect.changed) = (p, changed);
        assert_eq!(
            effect.verdict(),
            verdict,
            "{low:?} {high:?} {p:?} {changed}"
        );
    }
}

#[test]
fn every_format_shows_the_same_differences() {
    let files = Files::of(&results());
    let mut reader = csv::Reader::from_reader(files.csv.as_bytes());
    let lines = reader.deserialize().map(|line| line.unwrap());
    let lines: Vec<BTreeMap<String, String>> = lines.collect();
    let html: Vec<&str> = files.html.split("<tr").collect();
    let mut compared = 0;
    for line in lines.iter().filter(|line| !line["reference"].is_empty()) {
        let get = |column: &str| line[column].parse::<f64>().unwrap();
        let shown = |measure: &str| {
            let [mean, low, high, p] = ["change", "change_low", "change_high", "change_p"]
                .map(|end| get(&format!("{measure}_{end}")));
            let (ends, p) = (format!("{} to {}", number(low), number(high)), p_value(p));
            (signed(mean), ends, p)
        };
        let (iou, f1) = (shown("iou"), shown("f1"));
        let row = format!(
            "| {} | {} | {} | {} | {} ({}), {} | {} ({}), {} | {} |",
            line["method"],
            line["reference"],
            line["iou_change_n"],
            line["changed"],
            iou.0,
            iou.1,
            iou.2,
            f1.0,
            f1.1,
            f1.2,
            line["verdict"]
        );
        assert!(files.markdown.contains(&row), "no {row}");
        let there = html.iter().any(|row| {
            [
                &line["method"],
                &line["verdict"],
                &iou.0,
                &iou.1,
                &f1.0,
                &f1.1,
            ]
            .into_iter()
            .all(|text| row.contains(text.as_str()))
        });
        assert!(there, "{row}");
        compared += 1;
    }
    // Four of alpha and of the pool of both models, three of beta, in two modes.
    assert_eq!(compared, 2 * (4 + 4 + 3));
}

#[test]
fn an_unfinished_run_compares_what_is_there() {
    let whole = results();
    for kept in [0, 1, 2, 5, 17] {
        let mut results = whole.clone();
        results.records.truncate(kept);
        let table = results.table(400);
        let alpha = &table.sections[0].groups[1];
        let found = effect(alpha, "attention");
        assert_eq!(
            found.map(|effect| effect.iou.difference.n),
            (kept > 0).then_some(kept.min(8))
        );
        let open = found.is_none_or(|effect| effect.verdict() == Verdict::Open);
        assert_eq!(open, kept < 2, "{kept}");
        Files::of(&results);
    }
}

#[test]
fn plans_from_before_there_were_comparisons_can_be_read() {
    let mut plan = serde_json::to_value(results().plan).unwrap();
    let experiment = &mut plan["experiment"];
    experiment
        .as_object_mut()
        .unwrap()
        .remove("compare")
        .unwrap();
    for method in experiment["methods"].as_array_mut().unwrap() {
        for key in ["compare", "ablate"] {
            method.as_object_mut().unwrap().remove(key).unwrap();
        }
    }
    let mut results = results();
    results.plan = serde_json::from_value::<Plan>(plan).unwrap();
    let table = results.table(0);
    assert!(sentences(table.sections[0].leading()).is_empty());
    assert!(!Files::of(&results).html.contains("Differences"));
}
