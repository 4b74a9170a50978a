//! What is resampled as a whole: patients, else images.

use super::{
    Files,
    synthetic::{self, EXPLAINED, Made},
};
use crate::{
    experiment::record::Record,
    report::table::{Group, Table},
    statistics::Summary,
};

/// Every record of the made-up experiment thrice: three films of each patient, who are known if `named`.
fn thrice(named: bool) -> Made {
    let mut results = synthetic::results();
    let films = |record: &Record| {
        [0, 1, 2].map(|film| {
            let mut record = record.clone();
            if let Some(subject) = &mut record.subject {
                subject.patient = named.then(|| format!("secret-{}", record.case.index));
                subject.image += &format!("-{film}");
            }
            record.case.index += 12 * film;
            record
        })
    };
    results.records = results.records.iter().flat_map(films).collect();
    for cell in &mut results.plan.cells {
        cell.samples *= 3;
    }
    results
}

fn alpha(table: &Table) -> &Group {
    &table.sections[0].groups[1]
}

fn iou(group: &Group, method: &str) -> Summary {
    let row = group.rows.iter().find(|row| row.method == method).unwrap();
    row.values[0].unwrap()
}

fn gain(group: &Group, method: &str) -> (f64, Option<f64>, Option<f64>, Option<f64>) {
    let row = group.rows.iter().find(|row| row.method == method).unwrap();
    let gain = &row.gain.as_ref().unwrap().comparison;
    let Summary {
        mean, low, high, ..
    } = gain.difference;
    (mean, low, high, gain.p)
}

fn close(a: Option<f64>, b: Option<f64>) {
    let (a, b) = (a.unwrap(), b.unwrap());
    assert!((a - b).abs() < 1e-9, "{a} is not {b}");
}

#[test]
fn three_films_of_a_patient_are_no_more_evidence_than_one() {
    let once = synthetic::results().table(400);
    let patients = thrice(true).table(400);
    let images = thrice(false).table(400);
    for method in ["focus", "drift", "both_lungs"] {
        let (one, three) = (iou(alpha(&once), method), iou(alpha(&patients), method));
        assert_eq!((three.n, three.clusters), (3 * one.n, one.clusters));
        close(three.low, one.low);
        close(three.high, one.high);
        // Films of nobody in particular count each for itself, and the interval is too narrow: that is why.
        let apart = iou(alpha(&images), method);
        assert_eq!(apart.clusters, 3 * one.clusters);
        let width = |s: Summary| s.high.unwrap() - s.low.unwrap();
        assert!(width(apart) < 0.75 * width(three), "{method}");
    }
    let (one, three) = (gain(alpha(&once), "drift"), gain(alpha(&patients), "drift"));
    close(Some(three.0), Some(one.0));
    close(three.1, one.1);
    close(three.2, one.2);
    close(three.3, one.3);
}

#[test]
fn reports_say_what_was_resampled_and_never_whose_it_is() {
    let accounting = |named| alpha(&thrice(named).table(0)).accounting;
    let (known, unknown) = (accounting(true), accounting(false));
    assert_eq!((known.patients, known.images), (EXPLAINED, 0));
    assert_eq!((unknown.patients, unknown.images), (0, 3 * EXPLAINED));

    let written = Files::of(&thrice(true));
    let said = "the explained samples come from 8 patients";
    for page in [&written.markdown, &written.html] {
        assert!(page.contains(said));
    }
    for page in [&written.markdown, &written.csv, &written.html] {
        assert!(!page.contains("secret"));
    }
}

#[test]
fn a_journal_begun_before_patients_were_known_does_not_split_them() {
    let mut results = thrice(true);
    // The other model's records of the same films know the patient.
    for record in &mut results.records {
        if record.case.model == "alpha"
            && let Some(subject) = &mut record.subject
        {
            subject.patient = None;
        }
    }
    let table = results.table(0);
    let accountings = table.sections.iter().flat_map(|section| &section.groups);
    for group in accountings {
        let accounting = &group.accounting;
        assert_eq!((accounting.patients, accounting.images), (EXPLAINED, 0));
    }
}
