//! Reading answers: tolerant of every usual form, safe against every other.

use std::time::{Duration, Instant};

use medfocus_method_prompting::answer::{
    BoxList, MAX_BOXES, MAX_PHRASE, MAX_PHRASES, Outcome, PhraseList,
};
use proptest::prelude::*;

fn numbers(text: &str) -> Vec<[f64; 4]> {
    let boxes = BoxList::read(text).boxes;
    boxes.iter().map(|raw| raw.numbers).collect()
}

fn phrases(text: &str) -> Vec<String> {
    PhraseList::read(text).phrases
}

const A: [f64; 4] = [100.0, 200.0, 300.0, 400.0];
const B: [f64; 4] = [1.0, 2.5, -3.0, 4e2];

#[test]
fn boxes_in_every_usual_form() {
    for text in [
        "[[100, 200, 300, 400], [1, 2.5, -3, 4e2]]",
        "[[100,200,300,400],[1,2.5,-3,4e2]] and so on ]}",
        "```json\n[\n  [100, 200, 300, 400],\n  [1, 2.5, -3, 4e2]\n]\n```",
        "The patient's lesion [1] ends in [y1, x1, y2, x2] = [100, 200, 300, 400], then [1, 2.5, -3, 4e2].",
        "[[[100, 200, 300, 400]], [[1, 2.5, -3, 4e2]]]",
        "{\"boxes\": [[100, 200, 300, 400], [1, 2.5, -3, 4e2]]}",
        "[{\"box_2d\": [100, 200, 300, 400]}, {\"bbox\": [1, 2.5, -3, 4e2]}]",
        "[{'bbox_2d': [100, 200, 300, 400], 'label': 'a'}, {'bbox': [1, 2.5, -3, 4e2]}]",
        "[[100, 200, 300, 400], [1, 2.5, -3, 4e2], [5, 6, 7",
        "[[100, 200, 300, 400], [1, 2.5, -3, 4e2], [5, 6, 7, 8",
        "[[100, 200, 300, 400], [1, 2.5, -3, 4e2], [5, 6, 7]]",
        "5\" deep: [[100, 200, 300, 400], [1, 2.5, -3, 4e2]]",
    ] {
        assert_eq!(numbers(text), [A, B], "{text}");
        assert_eq!(BoxList::read(text).outcome(), Outcome::Listed);
    }
    assert_eq!(numbers("[100, 200, 300, 400]"), [A]);
    assert_eq!(numbers("{\"box_2d\": [100, 200, 300, 400]}"), [A]);
}

#[test]
fn labels_belong_to_the_boxes_of_their_object() {
    let text = r#"[{"box_2d": [1,2,3,4], "label": "left \"lung\""}, {"box_2d": [5,6,7,8]},
        {"label": "both", "boxes": [[1,1,2,2], [3,3,4,4]], "note": "x"}, {"label": "cut", "bbox": [0,0,1,1]"#;
    let boxes = BoxList::read(text).boxes;
    let labels: Vec<_> = boxes.iter().map(|raw| raw.label.as_deref()).collect();
    assert_eq!(
        labels,
        [
            Some("left \"lung\""),
            None,
            Some("both"),
            Some("both"),
            Some("cut")
        ]
    );
}

#[test]
fn no_evidence_is_not_an_unreadable_answer() {
    for text in [
        "[]",
        "[[]]",
        "{\"boxes\": [ ]}",
        "```json\n[]\n```",
        "None: [].",
    ] {
        assert_eq!(BoxList::read(text).outcome(), Outcome::None, "{text}");
        assert_eq!(PhraseList::read(text).outcome(), Outcome::None, "{text}");
    }
    for text in [
        "",
        "No.",
        "[",
        "[[",
        "[[1, 2, 3",
        "[1, 2, 3]",
        "[1, 2, 3, 4, 5]",
        "[1, 2, NaN, 4]",
        "[1, 2, 3px, 4]",
        "[a]",
        "[\"left lung\"]",
        "1, 2, 3, 4",
        "{}",
        "]",
        "[] or [1]",
    ] {
        let found = BoxList::read(text);
        assert_eq!(found.outcome(), Outcome::Unreadable, "{text}");
        assert_eq!(found.boxes, []);
    }
    for text in [
        "",
        "No.",
        "[",
        "[1, 2]",
        "[left lung]",
        "{}",
        "[\"left lu",
        "{\"a\": 1}",
    ] {
        assert_eq!(
            PhraseList::read(text).outcome(),
            Outcome::Unreadable,
            "{text}"
        );
    }
}

#[test]
fn phrases_in_every_usual_form() {
    for text in [
        r#"["left lung", "right hilum"]"#,
        "```json\n[\"left lung\",\n \"right hilum\"]\n```",
        "The patient's regions: ['left lung', 'right hilum'] as said",
        r#"{"regions": ["left lung", "right hilum"]}"#,
        r#"[{"label": "left lung", "color": "white"}, {"id": 2, "description": "right hilum"}]"#,
        r#"[" Left  lung. ", "LEFT LUNG", "right\nhilum"]"#,
        r#"["left lung", "right hilum", "right apex that was cut of"#,
        "Regions:\n- left lung\n- \"right hilum\".\n",
        "1. left lung\n2) right hilum\n10 ribs are counted",
        "* left lung\n  • right hilum\n*emphasis*",
    ] {
        let found: Vec<_> = phrases(text).iter().map(|p| p.to_lowercase()).collect();
        assert_eq!(found, ["left lung", "right hilum"], "{text}");
    }
    assert_eq!(phrases("[{\"name\": \"über\", \"box\": [1, 2]}]"), ["über"]);
}

#[test]
fn long_lists_and_long_texts_are_cut() {
    let many: Vec<_> = (0..100).map(|i| format!("[{i}, 0, 9, 9]")).collect();
    let found = BoxList::read(&many.join(","));
    assert_eq!(found.boxes.len(), MAX_BOXES);
    assert_eq!(found.left_out, 100 - MAX_BOXES as u64);
    assert_eq!(found.boxes[3].numbers[0], 3.0);

    let many: Vec<_> = (0..100)
        .map(|i| format!("\"{}{i}\"", "ä".repeat(3)))
        .collect();
    let found = PhraseList::read(&format!("[{}]", many.join(",")));
    assert_eq!(found.phrases.len(), MAX_PHRASES);
    assert_eq!(found.left_out, 100 - MAX_PHRASES as u64);
    let long = phrases(&format!("[\"{}\"]", "ä".repeat(5000)));
    assert_eq!(long[0].chars().count(), MAX_PHRASE);
}

/// Texts of `length` bytes made to hurt.
fn hostile(length: usize) -> Vec<String> {
    let units = [
        "[",
        "]",
        "{",
        "}",
        "[]",
        "[[[[1,2,3,4]",
        "[1,2,3,4],",
        "{\"label\":\"",
        "\"",
        "'",
        "[\"",
        "['\"",
        "[\\\"",
        "\\",
        "\\\"",
        "\\'",
        "[\"\\\\\"",
        "1",
        "[1",
        "9e9",
        "-",
        "[NaN,",
        "[1e999,-1e999,1,0]",
        "{\"label\":\"a\",",
        "[\"a\",",
        "[\"\n",
        "- a\n",
        "1) b\n",
        "1",
        "\n",
        " ",
        "\u{1F980}",
        "\u{202E}[\u{0}",
        "ä'",
        ":",
        "\"a\":",
        "[{\"label\":\"x\",\"b\":[1,2,3,4]},",
        "a'",
    ];
    units
        .iter()
        .map(|unit| format!("[{}", unit.repeat(length / unit.len())))
        .collect()
}

#[test]
fn hostile_texts_cost_little() {
    for text in hostile(1 << 20) {
        let start = Instant::now();
        let (boxes, phrases) = (BoxList::read(&text), PhraseList::read(&text));
        // A quadratic pass over a megabyte takes minutes, a linear one well below a second even without optimisation.
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "{:?}",
            &text[..9.min(text.len())]
        );
        assert!(boxes.boxes.len() <= MAX_BOXES && phrases.phrases.len() <= MAX_PHRASES);
    }
}

/// A JSON value nested in lists and objects.
fn wrapped(core: String, layers: &[u8]) -> String {
    layers.iter().fold(core, |inner, layer| match layer {
        0 => format!("[{inner}]"),
        1 => format!("{{\"evidence\": {inner}}}"),
        2 => format!("Here it is:\n```json\n{inner}\n```\n"),
        _ => format!(" {inner} "),
    })
}

proptest! {
    #[test]
    fn any_text_is_survived(text in "\\PC*|[\\[\\]{}:,\"'\\\\0-9eE.+\\- \nabä]*") {
        let found = BoxList::read(&text);
        prop_assert!(found.boxes.len() <= MAX_BOXES);
        prop_assert!(found.boxes.iter().flat_map(|raw| raw.numbers).all(|n| !n.is_nan()));
        let found = PhraseList::read(&text);
        prop_assert!(found.phrases.len() <= MAX_PHRASES);
        for phrase in &found.phrases {
            prop_assert!(!phrase.is_empty() && phrase.chars().count() <= MAX_PHRASE);
        }
    }

    #[test]
    fn what_was_written_is_read(
        boxes in proptest::collection::vec(proptest::array::uniform4(-2e3f64..2e3), 1..MAX_BOXES),
        layers in proptest::collection::vec(0u8..4, 0..6),
        keep in 0.0f64..1.0,
    ) {
        let lists: Vec<_> = boxes.iter().map(|b| format!("{b:?}")).collect();
        let text = wrapped(format!("[{}]", lists.join(", ")), &layers);
        prop_assert_eq!(numbers(&text), boxes.clone());

        // Cut anywhere, the complete boxes stay.
        let cut = (text.len() as f64 * keep) as usize;
        let found = numbers(&text[..cut]);
        prop_assert_eq!(&found[..], &boxes[..found.len()]);
        let complete = lists.iter().filter(|list| text.find(*list).unwrap() + list.len() <= cut).count();
        prop_assert!(found.len() >= complete);
    }

    #[test]
    fn phrases_survive_json(
        words in proptest::collection::btree_set("[a-z]{1,8}( [a-z]{1,8}){0,2}", 1..MAX_PHRASES),
        layers in proptest::collection::vec(0u8..4, 0..6),
    ) {
        let words: Vec<_> = words.into_iter().collect();
        let text = wrapped(serde_json::to_string(&words).unwrap(), &layers);
        prop_assert_eq!(phrases(&text), words);
    }
}
