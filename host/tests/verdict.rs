//! Reading yes and no: the published rule, laws of ours, hostile answers.

use std::time::{Duration, Instant};

use medfocus::verdict::{
    Parser::{self, LastStandalone, Published},
    Verdict::{self, No, Undecided, Yes},
};
use proptest::prelude::*;

#[test]
fn the_published_rule_looks_for_a_word_and_at_the_end() {
    // Answer, says yes, says no.
    let table = [
        ("Yes", true, false),
        ("No.", false, true),
        ("Yes, but no effusion", true, true),
        ("no evidence at first, but yes", true, false),
        ("The answer is yes or no", false, true),
        // A full stop hides the last word.
        ("no evidence at first, but yes.", true, true),
        ("no evidence at first, but yes \n", true, false),
        ("I cannot say yes", true, false),
        ("Yesterday's note; noses; yes_no", false, false),
        ("", false, false),
    ];
    for (answer, yes, no) in table {
        assert_eq!(Published.says(answer, Yes), yes, "{answer}");
        assert_eq!(Published.says(answer, No), no, "{answer}");
        assert_eq!(Published.says(answer, Undecided), !yes && !no, "{answer}");
        let read = match (yes, no) {
            (true, _) => Yes,
            (false, true) => No,
            (false, false) => Undecided,
        };
        assert_eq!(Published.read(answer), read, "{answer}");
    }
}

#[test]
fn names_in_configs_and_records_are_fixed() {
    let parsers = serde_json::to_string(&[Parser::default(), Published]).unwrap();
    assert_eq!(parsers, r#"["last_standalone","published"]"#);
    let verdicts = serde_json::to_string(&[Yes, No, Undecided]).unwrap();
    assert_eq!(verdicts, r#"["yes","no","undecided"]"#);
}

#[test]
fn hostile_answers_take_linear_time() {
    let unit = [
        "no ",
        "yes ",
        "not ",
        "yes or no ",
        "yes/",
        "\"",
        "'",
        "n't",
        "no'",
        "no-",
        "*",
        " ",
        "é",
        "no\n",
        "𝟙",
    ];
    let started = Instant::now();
    for unit in unit {
        let answer = unit.repeat((1 << 18) / unit.len());
        for parser in [LastStandalone, Published] {
            parser.read(&answer);
        }
    }
    // Quadratic work on 256 KiB would take far longer.
    assert!(started.elapsed() < Duration::from_secs(60));
}

/// Texts of the words and marks that the rules know.
fn answers() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec![
        "yes", "no", "Yes", "NO", "not", "isn't", "or", "and", "but", "effusion", "the", "doubt",
        " ", " ", " ", ", ", ". ", "\n", "\"", "'", "’", "**", "/", "-", "é",
    ]);
    prop::collection::vec(part, 0..24).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn a_final_answer_decides(before in answers()) {
        for (last, verdict) in [("Yes", Yes), ("**No**", No), ("\"yes\"", Yes)] {
            let answer = format!("{before}. Answer: {last}.");
            prop_assert_eq!(LastStandalone.read(&answer), verdict);
        }
    }

    #[test]
    fn case_and_markup_do_not_matter(answer in answers()) {
        let verdict = LastStandalone.read(&answer);
        prop_assert_eq!(LastStandalone.read(&answer.to_uppercase()), verdict);
        prop_assert_eq!(LastStandalone.read(&answer.replace('\'', "’")), verdict);
        prop_assert_eq!(LastStandalone.read(&answer.replace(' ', " ** ")), verdict);
    }

    #[test]
    fn nothing_is_read_into_text_without_the_words(answer in ".{0,200}") {
        let spoken = answer.to_lowercase();
        prop_assume!(!spoken.contains("yes") && !spoken.contains("no"));
        for parser in [LastStandalone, Published] {
            prop_assert_eq!(parser.read(&answer), Undecided);
        }
    }

    #[test]
    fn what_ours_decides_the_answer_holds(answer in answers()) {
        let word = match LastStandalone.read(&answer) {
            Verdict::Yes => "yes",
            Verdict::No => "no",
            Verdict::Undecided => return Ok(()),
        };
        prop_assert!(answer.to_lowercase().contains(word));
    }
}
