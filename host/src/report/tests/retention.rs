//! What the causal filter kept and dropped, counted by hand.

use std::collections::BTreeMap;

use medfocus_plugin_api::{Error, Mode};
use serde_json::json;

use super::{
    Files,
    synthetic::{self, Made},
};
use crate::{
    causal::{
        gate::{Group, Role},
        record::{
            Counterfactual, Draw, EditRecord, FilterOutcome, FilterRecord, Judgement, Reply, Rule,
            Tried,
        },
    },
    experiment::record::{CaseKey, Outcome},
    report::sheet::Sheet,
    verdict::{Parser, Verdict},
};

const READ: Parser = Parser::LastStandalone;
const RULE: Rule = Rule {
    parser: READ,
    verify: true,
};

fn reply(answer: &str, yes: f64) -> Reply {
    Reply {
        answer: answer.to_owned(),
        cut: false,
        verdict: READ.read(answer),
        yes: Some(yes),
    }
}

/// A draw in which the model answers so to the region edited, to all else edited, twice, and to the sham.
fn draw(answers: [(&str, f64); 4], outside: u8) -> Draw {
    let images = Role::ALL.into_iter().zip(answers);
    let images: BTreeMap<Role, Counterfactual> = images
        .map(|(role, (answer, yes))| {
            let edit = EditRecord {
                file: "a.png".to_owned(),
                prompt: String::new(),
                inside: 5.0,
                outside,
                verified: outside == 0,
            };
            let reply = reply(answer, yes);
            (role, Counterfactual { edit, reply })
        })
        .collect();
    Draw {
        seed: 1,
        group: RULE.group("Yes", &images),
        images,
    }
}

fn tried(editor: &str, draw: Draw) -> Tried {
    Tried {
        editor: editor.to_owned(),
        group: draw.group,
        draws: vec![draw],
    }
}

const GROUNDED: [(&str, f64); 4] = [("No", 0.1), ("Yes", 0.8), ("Yes", 0.6), ("Yes", 0.9)];

/// What the filter found of samples 0 to 7 of the made-up experiment's first model, asked directly; of the others nothing.
fn filtered() -> Made {
    let stays = [("Yes", 0.7), ("Yes", 0.9), ("Yes", 0.9), ("No", 0.2)];
    let turns = [
        ("No", 0.1),
        ("No", 0.3),
        ("The film is dark.", 0.5),
        ("Yes", 0.9),
    ];
    let judged = |original: &str, ours: Option<[Draw; 2]>| {
        let editors: Vec<Tried> = ours.map_or_else(Vec::new, |[ours, oracle]| {
            vec![tried("inpaint", ours), tried("oracle", oracle)]
        });
        let group = editors
            .first()
            .map_or(Group::Incorrect, |tried| tried.group);
        FilterOutcome::Judged(Box::new(Judgement {
            finding: "cardiomegaly".to_owned(),
            patient: None,
            image: original.to_owned(),
            question: String::new(),
            group,
            original: reply(original, 0.9),
            editors,
        }))
    };
    let outcomes = [
        judged("Yes", Some([draw(GROUNDED, 0), draw(GROUNDED, 0)])),
        judged("Yes", Some([draw(GROUNDED, 0), draw(stays, 0)])),
        judged("Yes", Some([draw(stays, 0), draw(GROUNDED, 0)])),
        judged("Yes", Some([draw(turns, 0), draw(turns, 0)])),
        judged("Yes", Some([draw(GROUNDED, 7), draw(stays, 0)])),
        judged("No", None),
        judged("The film is dark.", None),
        FilterOutcome::Failed {
            error: Error::invalid("editor `inpaint`: no"),
        },
    ];
    let mut results = synthetic::results();
    let mut plan = json!(results.plan);
    plan["experiment"]["filter"] = json!({
        "editors": [{ "component": "inpaint" }, { "component": "phantom", "name": "oracle" }],
        "reference": "oracle",
    });
    let made = plan["datasets"][0]["reader"].clone();
    plan["editors"] = json!([
        { "name": "inpaint", "draws": 1, "editor": made },
        { "name": "oracle", "draws": 1, "editor": made },
    ]);
    results.plan = serde_json::from_value(plan).unwrap();
    for (index, outcome) in outcomes.into_iter().enumerate() {
        let case = CaseKey {
            dataset: "phantom".to_owned(),
            model: "alpha".to_owned(),
            mode: Mode::Direct,
            index: index as u64,
        };
        let record = results
            .records
            .iter_mut()
            .find(|record| record.case == case);
        let subject = record.and_then(|record| record.subject.as_mut());
        results.filter.push(FilterRecord {
            case,
            model_digest: String::new(),
            outcome,
            seconds: 1.0,
        });
        let judged = results.filter[index].judgement();
        if let (Some(subject), Some(judged)) = (subject, judged) {
            subject.group = Some(judged.group);
            subject.verdict = judged.original.verdict;
        }
    }
    results
}

fn line<'a>(sheet: &'a Sheet, names: &[&str]) -> &'a [String] {
    let row = sheet.rows.iter().find(|row| row[..names.len()] == *names);
    &row.unwrap_or_else(|| panic!("no {names:?} in {sheet:?}"))[names.len()..]
}

#[test]
fn every_sample_is_counted_where_it_belongs() {
    let sheets = filtered().table(0).retention;
    let titles: Vec<&str> = sheets.iter().map(|sheet| sheet.title).collect();
    assert_eq!(
        titles,
        [
            "Retention",
            "What the edits prove",
            "Why samples were dropped",
            "Editors"
        ]
    );
    let alpha = ["phantom", "direct", "alpha"];
    // Seven judged: two wrong or undecided, three not grounded, two grounded; one failed.
    let retention = ["7", "28.57", "42.86", "28.57", "1", "0", "1"];
    assert_eq!(line(&sheets[0], &alpha), retention);
    assert_eq!(line(&sheets[0], &["phantom", "direct", "all"]), retention);
    // Of five right ones the edit turns four, the sham one; necessity is the mean of 0.8 (four) and 0.2; sufficiency of
    // 0.7 (three), 0.9 and 0.4; four edits leak.
    assert_eq!(
        line(&sheets[1], &alpha),
        ["5", "80.00", "20.00", "0.68", "0.68", "4 of 20"]
    );
    let mut reasons: Vec<(&str, &str)> = Vec::new();
    for row in &sheets[2].rows {
        assert_eq!(row[..3], alpha);
        reasons.push((&row[3], &row[4]));
    }
    assert_eq!(
        reasons,
        [
            ("all else normal: answered neither yes nor no", "1"),
            ("all else normal: not edited as asked", "1"),
            ("all else without the finding: not edited as asked", "1"),
            ("all else without the finding: the answer turns to no", "1"),
            ("answered neither yes nor no", "1"),
            ("answered wrongly", "1"),
            ("region without the finding: not edited as asked", "1"),
            ("region without the finding: the answer stays yes", "1"),
        ]
    );
    // Kept by ours: 0 and 1; by the oracle: 0 and 2.
    let of = |editor| line(&sheets[3], &["phantom", "direct", "alpha", editor]).to_vec();
    assert_eq!(of("inpaint"), ["1", "5", "2", "50.00", "50.00"]);
    assert_eq!(of("oracle"), ["1", "5", "2", "100.00", "100.00"]);
}

#[test]
fn reasons_are_those_of_the_rule() {
    let results = filtered();
    let dropped = |sample: usize, rule: Rule| {
        let judged = results.filter[sample].judgement();
        judged.unwrap().dropped(rule)
    };
    // Answered as it must be, but every edit leaks.
    let lenient = Rule {
        verify: false,
        ..RULE
    };
    assert_eq!(dropped(4, RULE).len(), 3);
    assert_eq!(dropped(4, lenient), [""; 0]);
    assert_eq!(dropped(2, lenient), dropped(2, RULE));
    // The published reading finds a no in a yes.
    let published = Rule {
        parser: Parser::Published,
        ..RULE
    };
    let both = [
        ("Yes, but no more", 0.5),
        GROUNDED[1],
        GROUNDED[2],
        GROUNDED[3],
    ];
    let images = draw(both, 0).images;
    assert_eq!(RULE.group("Yes", &images), Group::Ungrounded);
    assert_eq!(published.group("Yes", &images), Group::Grounded);
}

#[test]
fn tables_are_of_the_grounded_and_groups_of_all() {
    let results = filtered();
    let table = results.table(0);
    let alpha = &table.sections[0].groups[1];
    let accounting = &alpha.accounting;
    // Samples 0 to 4 and 7 are explained: 0 and 1 are grounded, 7 was never judged and counts.
    assert_eq!((accounting.explained, accounting.ungrounded), (3, 3));
    assert_eq!((accounting.incorrect, accounting.undecided), (2, 2));
    let planned: u64 = accounting.parts().iter().map(|(_, n)| n).sum();
    assert_eq!(planned, accounting.planned);
    let groups = alpha.groups.as_ref().unwrap();
    let drift = groups.rows.iter().find(|row| row[0] == "drift").unwrap();
    assert_eq!([&drift[1], &drift[4], &drift[7]], ["2", "3", "2"]);
    let iou = |index: u64| {
        let record = results.records.iter().find(|record| {
            let case = &record.case;
            (case.index, case.mode, &*case.model) == (index, Mode::Direct, "alpha")
        });
        let Outcome::Attributed { results } = &record.unwrap().outcome else {
            panic!("sample {index} is not explained");
        };
        let drift = results.iter().find(|result| result.method == "drift");
        let crate::experiment::record::MethodOutcome::Scored { metrics, .. } =
            &drift.unwrap().outcome
        else {
            panic!("sample {index} failed");
        };
        100.0 * metrics["iou"]
    };
    let grounded = 0.5 * (iou(0) + iou(1));
    assert_eq!(drift[8], format!("{grounded:.2}"));
    assert_eq!(
        results.filter[6].judgement().unwrap().original.verdict,
        Verdict::Undecided
    );
}

#[test]
fn every_format_shows_the_filter() {
    let with = Files::of(&filtered());
    let without = Files::of(&synthetic::results());
    for (with, without) in [
        (&with.markdown, &without.markdown),
        (&with.html, &without.html),
    ] {
        for words in [
            "The causal filter",
            "Groups of the filter",
            "not edited as asked",
        ] {
            assert!(with.contains(words), "no `{words}`");
            assert!(!without.contains(words), "`{words}` without a filter");
        }
    }
}
