//! Which concept is the evidence, word by word and over all samples, worked out by hand; and evidence that is not what it
//! should be.

use medfocus_plugin_api::{BBox, Mode};
use serde_json::{Map, Value, json};

use super::{
    Files,
    synthetic::{self, Made},
};
use crate::{
    evidence::{self, WHOLE_IMAGE, Weighed},
    experiment::record::{MethodOutcome, MethodResult, Outcome, Record},
    report::{
        concepts::{OTHERS, UNNAMED},
        html::{
            figure,
            words::{self, words},
        },
    },
};

fn map(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

/// Two concepts and the tokens of `The heart is wide.`, after which the turn ends.
fn weighed() -> Value {
    json!({
        "winner": "heart",
        "fallback": false,
        "concepts": [{ "name": "heart", "delta": 3.0, "ratio": 0.05, "boxes": [] },
                     { "name": "left & right", "delta": 1.5, "ratio": 0.2, "boxes": [] }],
        "tokens": ["The", " he", "art", " is", " wi", "de", ".", "<end>", "\n"],
        "matrix": [[0.09, 0.5, 0.5, 0.0, 1.0, 0.0, 1.0, 9.0, 0.0],
                   [0.00, 0.6, 0.3, 0.1, 0.2, 0.1, 0.1, 9.0, 0.0]],
    })
}

fn result(evidence: Value) -> MethodResult {
    let results = synthetic::results();
    let Outcome::Attributed { results } = &results.records[0].outcome else {
        panic!("{:?}", results.records[0]);
    };
    let mut result = results[1].clone();
    set(&mut result, evidence);
    result
}

fn set(result: &mut MethodResult, said: Value) {
    if let MethodOutcome::Scored {
        evidence, fallback, ..
    } = &mut result.outcome
    {
        *fallback = said["fallback"] == true;
        *evidence = map(said);
    }
}

/// The results with what each of the first cell's explained samples says by `focus` and `drift`.
fn saying(focus: [Value; 8], drift: [Value; 8]) -> Made {
    let mut results = synthetic::results();
    results.plan.cells.truncate(1);
    let same = |record: &Record| record.case.model == "alpha" && record.case.mode == Mode::Direct;
    results.records.retain(same);
    for (record, said) in results.records.iter_mut().zip(focus.into_iter().zip(drift)) {
        if let Outcome::Attributed { results } = &mut record.outcome {
            for result in results {
                match result.method.as_str() {
                    "focus" => set(result, said.0.clone()),
                    "drift" => set(result, said.1.clone()),
                    _ => {}
                }
            }
        }
    }
    results
}

fn named(winner: &str) -> Value {
    json!({ "winner": winner })
}

#[test]
fn shares_are_of_the_scored_results() {
    let fell_back = json!({ "winner": "heart", "fallback": true });
    // The last of `focus` failed: what it says does not count.
    let focus = [
        named("heart"),
        named("both lungs"),
        named("both lungs"),
        named("a <b> | c"),
        fell_back.clone(),
        json!({ "winner": 3 }),
        named("both lungs"),
        named("heart"),
    ];
    let mut drift = std::array::from_fn(|_| named("heart"));
    drift[0] = fell_back;
    drift[1] = json!({ "winner": null, "fallback": true });
    let results = saying(focus, drift);
    let table = results.table(0);
    let concepts = &table.sections[0].leading().concepts;
    assert_eq!(
        concepts.methods,
        [("focus".to_owned(), 7), ("drift".to_owned(), 8)]
    );
    let rows: Vec<_> = concepts
        .rows
        .iter()
        .map(|row| (row.name.as_str(), row.counts.as_slice()))
        .collect();
    let expected: [(&str, &[usize]); 5] = [
        ("both lungs", &[3, 0]),
        ("heart", &[1, 6]),
        (WHOLE_IMAGE, &[1, 2]),
        ("a <b> | c", &[1, 0]),
        (UNNAMED, &[1, 0]),
    ];
    assert_eq!(rows, expected);
    assert_eq!(concepts.share(&concepts.rows[1], 1), 75.0);

    let files = Files::of(&results);
    for line in [
        "| Evidence | focus (n = 7) | drift (n = 8) |\n",
        "| both lungs | 42.86 | 0.00 |\n| heart | 14.29 | 75.00 |\n| whole image | 14.29 | 25.00 |\n",
        "| a &lt;b> \\| c | 14.29 | 0.00 |\n",
    ] {
        assert!(files.markdown.contains(line), "{line}");
    }
    let row = r#"<th scope="row">heart</th><td class="num" style="--heat:14.3">14.29</td><td class="num" style="--heat:75.0">75.00</td>"#;
    assert!(files.html.contains(row));
    assert!(
        files
            .html
            .contains(r#"<th scope="row">a &lt;b&gt; | c</th>"#)
    );
}

#[test]
fn methods_that_name_nothing_have_no_table() {
    let files = Files::of(&synthetic::results());
    assert!(!files.html.contains("Evidence by concept"));
    assert!(!files.markdown.contains("| Evidence |"));
}

#[test]
fn a_method_that_names_anything_has_no_endless_table() {
    let mut results = synthetic::results();
    let first = results.records[0].clone();
    results.records = std::iter::repeat_n(first, 40).collect();
    results.plan.cells[0].samples = 40;
    for (at, record) in results.records.iter_mut().enumerate() {
        record.case.index = at as u64;
        if let Outcome::Attributed { results } = &mut record.outcome {
            set(&mut results[1], named(&format!("free text {at:02}")));
        }
    }
    let table = results.table(0);
    let concepts = &table.sections[0].groups[1].concepts;
    assert_eq!(concepts.rows.len(), 31);
    assert_eq!(concepts.rows[0].name, "free text 00");
    assert_eq!(concepts.rows[30].name, OTHERS);
    assert_eq!(concepts.rows[30].counts, [10]);
}

#[test]
fn words_miss_the_concept_with_the_largest_sum() {
    let mut said = map(weighed());
    let drops = evidence::drops(&said, 2).unwrap();
    let missed = |words: Vec<words::Word>| -> Vec<_> {
        words
            .iter()
            .map(|word| word.missed.map(|(c, drop)| (c, (100.0 * drop).round())))
            .collect()
    };
    // `heart` loses 1.0 without the first and 0.9 without the second concept, though its first piece loses more without
    // the second; `wide.<end>` is a word as long as nothing says where the answer ends.
    let all = missed(words(&drops, &Weighed::of(&said).unwrap()));
    assert_eq!(all, [None, Some((0, 100.0)), None, Some((0, 1100.0))]);
    // Without the end of the turn the largest is 2.0: 0.09 is under 5 % of it, 0.1 is not.
    let html = figure::said(&result(weighed()), "The heart is wide.").into_string();
    let text = concat!(
        r#"<p class="words">The <mark class="hue-0" style="--drop:50" title="heart: 1.00">heart<sup>a</sup></mark> "#,
        r#"<mark class="hue-1" style="--drop:5" title="left &amp; right: 0.10">is<sup>b</sup></mark> "#,
        r#"<mark class="hue-0" style="--drop:100" title="heart: 2.00">wide.<sup>a</sup></mark></p>"#,
    );
    assert!(html.contains(text), "{html}");
    assert!(html.contains("evidence: <b>heart</b>"), "{html}");
    assert!(
        html.contains(r#"<span style="width:50.0%"></span></span><span class="num">1.50</span>"#)
    );
    // Of equal drops the first concept's; white space has none; a token of two words counts for its first.
    said["tokens"] = json!([
        " a b",
        " \n",
        "c",
        "d e",
        "",
        "\u{3000}f\u{e9}",
        "g",
        "h",
        "i"
    ]);
    said["matrix"] = json!([
        [1.0, 8.0, 0.5, 0.5, 7.0, 0.0, 0.0, 0.0, 0.0],
        [1.0, 8.0, 0.5, 0.5, 7.0, 0.0, 0.0, 0.0, -1.0],
    ]);
    let drops = evidence::drops(&said, 2).unwrap();
    // a, b, cd, e, fé and what follows it.
    let all = missed(words(&drops, &Weighed::of(&said).unwrap()));
    assert_eq!(all, [Some((0, 100.0)), None, Some((0, 100.0)), None, None]);
}

/// The evidence is not the strongest concept; it explains each word of which it explains its share.
#[test]
fn a_word_is_explained_as_the_answer_is() {
    let mut said = json!({
        "winner": "heart", "fallback": false, "share": 0.7, "tau": 0.75,
        "concepts": [{ "name": "heart", "delta": 3.5 }, { "name": "lungs", "delta": 4.0 }],
        "tokens": ["Yes", ",", " wide", " heart", " here"],
        "matrix": [[1.5, 0.0, 0.69, 0.7, 0.0], [1.5, 0.5, 1.0, 1.0, 0.0]],
    });
    let colours = |said: &Value| -> Vec<_> {
        let said = map(said.clone());
        let concepts = Weighed::of(&said).unwrap();
        let words = words(&evidence::drops(&said, 2).unwrap(), &concepts);
        let name = |(place, _): (usize, f64)| concepts.concepts[place].name.to_owned();
        let names = words.iter().map(|word| word.missed.map(name));
        names.map(Option::unwrap_or_default).collect()
    };
    // 1.5 of 2.0, 0.69 of 1.0, 0.7 of 1.0, nothing.
    assert_eq!(colours(&said), ["heart", "lungs", "heart", ""]);
    let html = figure::said(&result(said.clone()), "Yes, wide heart here").into_string();
    for part in [
        r#"<li class="hue-1"><i>a</i><span>lungs</span>"#,
        r#"<li class="hue-0 winner"><i>b</i><span>heart</span>"#,
        r#"<mark class="hue-0" style="--drop:100" title="heart: 1.50">Yes,<sup>b</sup></mark>"#,
        // Bars of 4.0 and 3.5, and the line at -ln 0.75 = 0.2877.
        r#"<span style="width:100.0%"></span><s style="left:7.2%"></s>"#,
        r#"<span style="width:87.5%"></span><s style="left:7.2%"></s>"#,
        "a concept dominates from \u{394} 0.29",
        "smallest concept with 70 % of the highest",
    ] {
        assert!(html.contains(part), "{part} in {html}");
    }
    // Nobody says what suffices: only as much as the strongest does.
    said.as_object_mut().unwrap().remove("share");
    assert_eq!(colours(&said), ["lungs", "lungs", "lungs", ""]);
    said["fallback"] = json!(true);
    said["share"] = json!(0.7);
    assert_eq!(
        colours(&said),
        ["lungs", "lungs", "lungs", ""],
        "no evidence, no share"
    );
}

#[test]
fn a_result_that_is_not_reliable_says_so() {
    let mut said = weighed();
    said["reliable"] = json!(false);
    let results = saying(
        std::array::from_fn(|_| said.clone()),
        std::array::from_fn(|_| weighed()),
    );
    let folder = tempfile::tempdir().unwrap();
    synthetic::draw(&results, folder.path(), 1);
    let html = Files::written(&results, folder.path()).html;
    assert_eq!(html.matches("Not reliable").count(), 1);
    assert_eq!(html.matches(r#"<div class="said">"#).count(), 2);
}

#[test]
fn rejected_masks_are_counted_where_the_evidence_is_shown() {
    let html = |segmenter: Value| {
        let mut said = weighed();
        said["segmenter"] = segmenter;
        let results = saying(
            std::array::from_fn(|_| said.clone()),
            std::array::from_fn(|_| weighed()),
        );
        let folder = tempfile::tempdir().unwrap();
        synthetic::draw(&results, folder.path(), 1);
        Files::written(&results, folder.path()).html
    };
    let two = html(json!({ "accepted": 9, "rejected": ["left clavicle", "right clavicle"] }));
    assert_eq!(
        two.matches("disagree with the regions found before are rejected: 2 of 11")
            .count(),
        1
    );
    for nothing in [
        json!({ "accepted": 11, "rejected": [] }),
        json!({ "accepted": u64::MAX, "rejected": ["a"] }),
        json!({ "accepted": -1, "rejected": "all" }),
    ] {
        assert!(!html(nothing).contains("are rejected"));
    }
}

#[test]
fn an_answer_that_loses_nothing_stays_plain() {
    let mut said = weighed();
    said["matrix"] = json!([vec![0.0; 9], vec![-1.0; 9]]);
    said["fallback"] = json!(true);
    for concept in said["concepts"].as_array_mut().unwrap() {
        concept["delta"] = json!(-1.0);
    }
    let html = figure::said(&result(said), "The heart is wide.").into_string();
    assert!(
        html.contains(r#"<p class="words">The heart is wide.</p>"#),
        "{html}"
    );
    assert!(
        html.contains("<b>whole image</b>: no concept dominates"),
        "{html}"
    );
    assert_eq!(html.matches("width:0.0%").count(), 2, "{html}");
    assert!(
        !html.contains("hue-0"),
        "no concept has the evidence's colour: {html}"
    );
}

#[test]
fn evidence_of_another_shape_shows_nothing() {
    let with = |key: &str, value: Value| {
        let mut said = weighed();
        said[key] = value;
        figure::said(&result(said), "The heart is wide.").into_string()
    };
    let long = "x".repeat(1000);
    for concepts in [
        json!(null),
        json!([]),
        json!("heart"),
        json!([["heart", 1.0]]),
        json!([{ "name": "heart" }, { "name": "lung" }]),
        json!([{ "name": "heart", "delta": "1" }, { "name": "lung", "delta": 1 }]),
        json!([{ "name": "heart", "delta": 1e300 }, { "name": "lung", "delta": 1 }]),
        json!([{ "name": long, "delta": 1 }, { "name": "lung", "delta": 1 }]),
        json!([{ "name": " ", "delta": 1 }, { "name": "lung", "delta": 1 }]),
        Value::Array(vec![json!({ "name": "heart", "delta": 1 }); 5000]),
    ] {
        assert_eq!(with("concepts", concepts.clone()), "", "{concepts}");
    }
    let zeros = vec![0.0; 9];
    for (key, value) in [
        ("matrix", json!(null)),
        ("matrix", json!([zeros])),
        ("matrix", json!([zeros, zeros[1..]])),
        ("matrix", json!([zeros, { "0": 1.0 }])),
        ("matrix", json!([zeros, [null, 0, 0, 0, 0, 0, 0, 0, 0]])),
        ("matrix", json!([zeros, [1e307, 0, 0, 0, 0, 0, 0, 0, 0]])),
        ("tokens", json!("The heart is wide.")),
        ("tokens", json!(["The"])),
        ("tokens", json!([1, 2, 3, 4, 5, 6, 7, 8, 9])),
        ("tokens", Value::Array(vec![json!(long); 9])),
        ("tokens", Value::Array(vec![json!("a"); 100_000])),
    ] {
        let html = with(key, value.clone());
        assert!(!html.contains("<p class=\"words\""), "{key} {value}");
        assert!(
            html.contains("<ul class=\"deltas\""),
            "the bars do not need it"
        );
    }
}

#[test]
fn words_and_names_are_text() {
    let hostile = "\"><script>alert(1)</script>";
    let said = json!({
        "winner": hostile,
        "concepts": [{ "name": hostile, "delta": 1.0 }],
        "tokens": [hostile, " ", hostile],
        "matrix": [[1.0, 0.0, 0.5]],
    });
    let results = saying(
        std::array::from_fn(|_| said.clone()),
        std::array::from_fn(|_| json!({})),
    );
    let folder = tempfile::tempdir().unwrap();
    synthetic::draw(&results, folder.path(), 1);
    let files = Files::written(&results, folder.path());
    let escaped = "&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;";
    assert!(files.html.contains(&format!("title=\"{escaped}: 1.00\"")));
    assert!(
        files
            .html
            .contains(&format!("{escaped}<sup>a</sup></mark>"))
    );
    assert!(files.html.contains(figure::READING));
    assert!(!files.html.contains("<script"));
    assert!(!files.markdown.contains("<script"));
    assert_eq!(files.html, Files::written(&results, folder.path()).html);
}

#[test]
fn the_best_concept_is_the_one_nearest_to_the_truth() {
    let placed = |concepts: Value| json!({ "winner": "heart", "concepts": concepts });
    let whole = json!({ "name": "heart", "delta": 1, "boxes": [[0, 0, 50, 50]] });
    let half = json!({ "name": "apex", "delta": 2, "boxes": [[0, 0, 50, 25]] });
    let quarters =
        json!({ "name": "both", "delta": 3, "boxes": [[0, 0, 25, 25], [25, 25, 50, 50]] });
    let elsewhere = json!({ "name": "tip", "delta": 3, "boxes": [[100, 100, 120, 120]] });
    let nowhere = json!({ "name": "mind", "delta": 3 });
    let mut results = saying(
        [
            placed(json!([half, whole, nowhere])),
            placed(json!([quarters, elsewhere])),
            placed(json!([elsewhere])),
            // Nothing is said of where these are.
            placed(json!([nowhere])),
            named("heart"),
            json!({}),
            json!({ "concepts": 3 }),
            // Failed.
            placed(json!([whole])),
        ],
        std::array::from_fn(|_| named("heart")),
    );
    for record in &mut results.records {
        let Some(subject) = &mut record.subject else {
            continue;
        };
        // Twice the working image.
        subject.size = (448, 448);
        subject.truth = vec![BBox::new(0, 0, 100, 100).unwrap()];
        if let Outcome::Attributed { results } = &mut record.outcome {
            for result in results {
                if let MethodOutcome::Scored { metrics, .. } = &mut result.outcome {
                    metrics.insert("iou".to_owned(), 0.25);
                }
            }
        }
    }
    let table = results.table(0);
    let [reach] = table.sections[0].leading().reach.as_slice() else {
        panic!("one method says where its concepts are");
    };
    assert_eq!((reach.method.as_str(), reach.samples), ("focus", 3));
    assert_eq!(reach.chosen, 25.0);
    // 1, 1/2 and 0.
    assert_eq!(reach.best, 50.0);
    let files = Files::of(&results);
    assert!(files.markdown.contains("| focus | 3 | 25.00 | 50.00 |\n"));
    assert!(files.html.contains("IoU of the best concept"));
}
