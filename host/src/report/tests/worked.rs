//! The numbers of the made-up experiment, worked out by hand.

use medfocus_plugin_api::{Error, Mode};

use super::{
    Files,
    synthetic::{self, EXPLAINED},
};
use crate::{
    experiment::record::{Change, Outcome},
    report::{
        headline,
        row::Row,
        summary,
        table::{Accounting, Group, Table},
    },
    statistics::{Bootstrap, Summary, holm},
};

fn table() -> Table {
    synthetic::results().table(400)
}

fn row<'a>(group: &'a Group, method: &str) -> &'a Row {
    group.rows.iter().find(|row| row.method == method).unwrap()
}

fn value(table: &Table, row: &Row, measure: &str) -> Option<Summary> {
    let at = table
        .measures
        .iter()
        .position(|m| m.metric.name == measure)
        .unwrap();
    row.values[at]
}

fn close(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
}

#[test]
fn sections_and_groups_stand_in_the_order_of_the_plan() {
    let table = table();
    let modes: Vec<Mode> = table.sections.iter().map(|section| section.mode).collect();
    assert_eq!(modes, synthetic::MODES);
    for section in &table.sections {
        let models: Vec<_> = section
            .groups
            .iter()
            .map(|group| group.model.as_deref())
            .collect();
        assert_eq!(models, [None, Some("alpha"), Some("beta")]);
        let methods: Vec<_> = section
            .leading()
            .rows
            .iter()
            .map(|row| row.method.as_str())
            .collect();
        assert_eq!(
            methods,
            ["focus", "drift", "attention", "both_lungs", "centre_box"]
        );
    }
}

#[test]
fn every_planned_sample_is_accounted_for() {
    let mut results = synthetic::results();
    let last = results.records.pop().unwrap();
    assert_eq!((last.case.model.as_str(), last.case.index), ("beta", 11));
    let table = results.table(0);
    let one = Accounting {
        planned: 12,
        recorded: 12,
        incorrect: 1,
        undecided: 1,
        ungrounded: 0,
        unannotated: 1,
        failed: 1,
        explained: EXPLAINED,
        cut: 0,
        patients: 0,
        images: EXPLAINED,
    };
    let [direct, reasoning] = table.sections.as_slice() else {
        panic!("{:?}", table.sections);
    };
    assert_eq!(direct.groups[1].accounting, one);
    let pooled = direct.groups[0].accounting;
    assert_eq!(
        (pooled.planned, pooled.explained, pooled.failed),
        (24, 16, 2)
    );
    let cut = reasoning.groups[2].accounting;
    assert_eq!((cut.planned, cut.recorded, cut.undecided), (12, 11, 0));
    assert!(cut.parts().contains(&("not run yet", 1)));
    for accounting in [one, pooled, cut] {
        let parts = accounting.parts();
        assert_eq!(
            parts.iter().map(|(_, n)| n).sum::<u64>(),
            accounting.planned
        );
    }
    assert_eq!(headline::cut(&one), None);
    let said = headline::accounting(&Accounting { cut: 2, ..one });
    assert!(
        said.ends_with("; 2 answers cut at `answer.max_new_tokens`"),
        "{said}"
    );
    let warning = headline::incomplete(&table).unwrap();
    assert!(warning.contains("47 of 48 samples"), "{warning}");
    assert_eq!(headline::incomplete(&self::table()), None);
}

#[test]
fn means_are_over_the_samples_that_a_method_answered() {
    let table = table();
    let [pooled, alpha, beta] = table.sections[0].groups.as_slice() else {
        panic!();
    };
    let focus = row(alpha, "focus");
    assert_eq!((focus.attempted, focus.scored, focus.failed), (8, 7, 1));
    for (group, method, iou, n) in [
        (alpha, "focus", 43.0, 7),
        (beta, "focus", 53.0, 8),
        (pooled, "focus", (7.0 * 43.0 + 8.0 * 53.0) / 15.0, 15),
        (pooled, "drift", 24.0, 16),
        (pooled, "attention", 17.0, 8),
        (pooled, "both_lungs", 22.0, 16),
        (pooled, "centre_box", 11.0, 16),
    ] {
        let found = value(&table, row(group, method), "iou").unwrap();
        close(found.mean, iou);
        assert_eq!(found.n, n);
        assert!(found.low.unwrap() < iou && iou < found.high.unwrap());
    }
    let reasoning = &table.sections[1].groups[1];
    close(
        value(&table, row(reasoning, "focus"), "iou").unwrap().mean,
        42.0,
    );
}

#[test]
fn two_models_asked_about_one_image_are_one_cluster() {
    let table = table();
    let [pooled, alpha, _] = table.sections[0].groups.as_slice() else {
        panic!();
    };
    // The same eight values for each model: twice the values, but not twice the evidence.
    let twice = value(&table, row(pooled, "both_lungs"), "iou").unwrap();
    let once = value(&table, row(alpha, "both_lungs"), "iou").unwrap();
    assert_eq!((twice.n, twice.clusters), (16, 8));
    assert_eq!((once.n, once.clusters), (8, 8));
    close(twice.low.unwrap(), once.low.unwrap());
    close(twice.high.unwrap(), once.high.unwrap());
}

#[test]
fn measures_that_do_not_apply_have_their_own_count() {
    let table = table();
    let alpha = &table.sections[0].groups[1];
    let (focus, drift, lungs) = (
        row(alpha, "focus"),
        row(alpha, "drift"),
        row(alpha, "both_lungs"),
    );
    // Even samples of 0 to 6 hit.
    close(
        value(&table, focus, "pointing_game").unwrap().mean,
        400.0 / 7.0,
    );
    // The noise of the first four samples sums to zero.
    let deletion = value(&table, focus, "deletion_auc").unwrap();
    close(deletion.mean, 0.6 - 0.43);
    assert_eq!(deletion.n, 4);
    for measure in ["pointing_game", "auprc", "deletion_auc", "insertion_auc"] {
        assert_eq!(value(&table, lungs, measure), None);
    }
    close(value(&table, drift, "empty").unwrap().mean, 100.0 / 8.0);
    close(value(&table, drift, "fallback").unwrap().mean, 100.0 / 8.0);
    close(value(&table, lungs, "empty").unwrap().mean, 0.0);
    // 3 + index calls of 16 images each, on samples 0 to 6; calls to the pool are none to the model.
    close(value(&table, focus, "model_calls").unwrap().mean, 6.0);
    close(value(&table, focus, "images").unwrap().mean, 96.0);
    close(value(&table, lungs, "model_calls").unwrap().mean, 0.0);
    close(value(&table, focus, "seconds").unwrap().mean, 1.25);
    assert_eq!(
        value(&table, focus, "seconds").unwrap().low,
        None,
        "costs have no interval"
    );
}

#[test]
fn gains_are_over_the_best_control_on_the_same_samples() {
    let table = table();
    let [pooled, alpha, beta] = table.sections[0].groups.as_slice() else {
        panic!();
    };
    for (group, method, difference, n) in [
        (alpha, "focus", 21.0, 7),
        (beta, "focus", 31.0, 8),
        (pooled, "focus", (7.0 * 21.0 + 8.0 * 31.0) / 15.0, 15),
        (pooled, "drift", 2.0, 16),
        (alpha, "attention", -5.0, 8),
    ] {
        let gain = row(group, method).gain.as_ref().unwrap();
        assert_eq!(gain.over, "both_lungs");
        close(gain.comparison.difference.mean, difference);
        assert_eq!(gain.comparison.difference.n, n);
    }
    for control in ["both_lungs", "centre_box"] {
        assert_eq!(row(pooled, control).gain, None);
    }
}

#[test]
fn p_values_are_corrected_for_the_number_of_methods() {
    let table = table();
    let alpha = &table.sections[0].groups[1];
    let bootstrap = Bootstrap {
        resamples: 400,
        seed: 20,
    };
    let method = [6.0, -10.0, 12.0, -8.0, 3.0, -9.0, 6.0, 0.0];
    let control = [-4.0, 5.0, -3.0, 2.0, 4.0, -6.0, 2.0, 0.0];
    let p = |gain: f64, n: usize| {
        let pairs = (0..n).map(|i| (i, gain + method[i], control[i]));
        bootstrap.compare(pairs).unwrap().p.unwrap()
    };
    let expected = holm(&[p(21.0, 7), p(2.0, 8), p(-5.0, 8)]);
    for (method, expected) in ["focus", "drift", "attention"].iter().zip(&expected) {
        let comparison = row(alpha, method).gain.as_ref().unwrap().comparison;
        close(comparison.p.unwrap(), *expected);
    }
    assert!(expected[0] < 0.05 && expected[1] > 0.05, "{expected:?}");
}

#[test]
fn what_does_not_fit_says_why() {
    let table = table();
    let [pooled, alpha, beta] = table.sections[0].groups.as_slice() else {
        panic!();
    };
    let misfits = |group: &Group| {
        group
            .misfits
            .iter()
            .map(|misfit| misfit.method.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(misfits(alpha), ["rise"]);
    assert_eq!(misfits(beta), ["attention", "rise"]);
    assert_eq!(misfits(pooled), ["rise"], "attention has numbers there");
    assert_eq!(row(pooled, "attention").without, ["beta"]);
    assert!(row(pooled, "focus").without.is_empty());
}

#[test]
fn findings_are_counted_and_averaged_apart() {
    let table = table();
    let alpha = &table.sections[0].groups[1];
    let names: Vec<_> = alpha
        .findings
        .iter()
        .map(|f| (f.name.as_str(), f.samples))
        .collect();
    // Samples 0 3 6, then 1 4 7, then 2 5; equally frequent ones by name.
    assert_eq!(
        names,
        [
            ("cardiomegaly", 3),
            ("pleural effusion", 3),
            ("lung nodule", 2)
        ]
    );
    let focus = |at: usize| alpha.findings[at].values[0].unwrap();
    close(focus(0).mean, 43.0 + (-10.0 + 3.0) / 2.0);
    assert_eq!(focus(0).n, 2, "the failed sample 7 is one of them");
    close(focus(1).mean, 43.0 + (6.0 - 8.0 + 6.0) / 3.0);
    close(focus(2).mean, 43.0 + (12.0 - 9.0) / 2.0);
}

#[test]
fn sanity_checks_are_averaged_by_method_and_change() {
    let table = table();
    assert_eq!(table.checks.len(), 9);
    let check = |method: &str, change| {
        let found = table
            .checks
            .iter()
            .find(|c| c.method == method && c.change == change);
        found.unwrap().clone()
    };
    let focus = check("focus", Change::Weights(2));
    close(focus.correlation.unwrap().mean, 0.23);
    close(focus.region_iou.unwrap().mean, 23.0);
    assert_eq!((focus.compared, focus.failed), (4, 0));
    let drift = check("drift", Change::Patient);
    close(drift.correlation.unwrap().mean, 0.57);
    assert_eq!((drift.compared, drift.failed), (3, 1));
    let lungs = check("both_lungs", Change::Question);
    assert_eq!(lungs.correlation, None);
    close(lungs.region_iou.unwrap().mean, 100.0);
}

#[test]
fn answers_to_another_image_are_counted() {
    let answers = table().answers.unwrap();
    let line = |shown: &str, same: &str| {
        ["alpha", "direct", shown, "4", same, "100.00", "50.00"].map(str::to_owned)
    };
    assert_eq!(
        answers.rows,
        [line("patient", "25.00"), line("no image", "100.00")]
    );
}

#[test]
fn answers_that_need_no_image_are_counted_by_model() {
    let table = table();
    let sheet = table.sections[0].leading().prior.as_ref().unwrap();
    // Without the image 0, 0.1 to 0.7 of eight samples: four reach half of 0.7, the last one nine tenths.
    let line = |model: &str| [model, "8", "0.700", "0.350", "50.00", "12.50"].map(str::to_owned);
    assert_eq!(sheet.rows, [line("alpha"), line("beta")]);
    let mut results = synthetic::results();
    for record in &mut results.records {
        if let Some(subject) = &mut record.subject {
            subject.language_prior = None;
        }
    }
    assert_eq!(results.table(0).sections[0].leading().prior, None);
}

#[test]
fn each_sentence_of_failure_stands_once() {
    let failures = table().failures.listed;
    let shown: Vec<_> = failures.iter().map(|f| (f.place(), f.numbers())).collect();
    let expect = |place: &str, samples: &str| (place.to_owned(), samples.to_owned());
    assert_eq!(
        shown,
        [
            expect("phantom, direct, alpha, focus", "7"),
            expect("phantom, direct, alpha", "9"),
            expect("phantom, reasoning, alpha, focus", "7"),
            expect("phantom, reasoning, alpha", "9"),
            expect("phantom, direct, beta", "9"),
            expect("phantom, reasoning, beta", "9"),
            expect("phantom, direct, alpha, drift, check patient", "3"),
        ]
    );
    assert_eq!(
        failures[0].sentence,
        "the method ran out of memory; lower its `batch`"
    );
}

#[test]
fn failures_without_end_are_counted() {
    let mut results = synthetic::results();
    let mut all = Vec::new();
    let failed = &results.records[9];
    for index in 0..2500 {
        let mut record = failed.clone();
        record.case.index = index;
        if index >= 200 {
            record.outcome = Outcome::Failed {
                error: Error::internal(format!("sample {index} is odd")),
            };
        }
        all.push(record);
    }
    results.records = all;
    results.plan.cells.truncate(1);
    results.plan.cells[0].samples = 2500;
    let files = Files::of(&results);
    for page in [&files.markdown, &files.html] {
        assert!(page.contains(", 98, 99 and 100 more"));
        assert!(!page.contains(", 99, 100"));
        assert!(page.contains("sample 1198 is odd"));
        assert!(!page.contains("sample 1199 is odd"));
        // And a sanity check.
        assert!(page.contains("1302 failures with other sentences"));
    }
}

#[test]
fn the_headline_names_the_best_method_and_its_gain() {
    let table = table();
    let sentence = headline::finding(table.sections[0].leading());
    assert!(
        sentence.starts_with("focus agrees best with the annotated regions: IoU 48.33 ("),
        "{sentence}"
    );
    assert!(
        sentence.contains("on 15 samples, +26.33 against the best control, both_lungs"),
        "{sentence}"
    );
    let mut results = synthetic::results();
    results
        .plan
        .methods
        .retain(|method| method.control || method.name == "attention");
    let sentence = headline::finding(results.table(400).sections[0].leading());
    assert!(
        sentence.contains("does not beat that control"),
        "{sentence}"
    );
    results.plan.methods.retain(|method| !method.control);
    let sentence = headline::finding(results.table(400).sections[0].leading());
    assert!(sentence.contains("No control"), "{sentence}");
    results.records.clear();
    let sentence = headline::finding(results.table(400).sections[0].leading());
    assert_eq!(sentence, "No method has been scored.");
}

#[test]
fn the_terminal_gets_the_means() {
    let text = summary(&table());
    assert!(
        text.contains("phantom, direct: 24 samples: 16 explained"),
        "{text}"
    );
    assert!(text.contains("IoU  48.33  15 of 16 scored"), "{text}");
    assert!(text.contains("does not fit"), "{text}");
}
