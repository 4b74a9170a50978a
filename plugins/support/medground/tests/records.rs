//! Records are what the file says, and the file is what the records say.

use medfocus_medground::{Record, Split, read};
use medfocus_plugin_api::{ErrorKind, Mode};
use proptest::prelude::*;

fn write(records: &[Record]) -> Vec<u8> {
    let mut written = Vec::new();
    medfocus_medground::write(&mut written, records.iter().cloned().map(Ok)).unwrap();
    written
}

/// As Python writes them.
const DIRECT: &[u8] = include_bytes!("fixtures/direct.json");
const REASONING: &[u8] = include_bytes!("fixtures/reasoning.json");

#[test]
fn what_python_wrote_is_written_again_byte_for_byte() {
    for (bytes, split) in [(DIRECT, Split::Direct), (REASONING, Split::Reasoning)] {
        let records = read(bytes).unwrap();
        assert_eq!(records.len(), 9);
        assert!(records.iter().all(|record| record.split == split));
        assert_eq!(
            String::from_utf8(write(&records)).unwrap(),
            String::from_utf8(bytes.to_vec()).unwrap()
        );
    }
    assert_eq!(write(&[]), b"[]");
}

#[test]
fn texts_stay_as_they_are() {
    let records = read(DIRECT).unwrap();
    assert_eq!(
        records[1],
        Record {
            model: "medgemma1_5".into(),
            dataset: "vindr_cxr".into(),
            index: 7,
            answer: "Yes".into(),
            split: Split::Direct,
            predictions: ["Yes\n", "Yes.\n", "", "He said \"no\"; so did she."].map(str::to_owned),
        }
    );
    assert_eq!(records[2].index, (1 << 53) + 1);
    assert_eq!(
        records[8].predictions[0],
        "右側胸水 \u{1fac1} \u{2028} \u{feff}"
    );
}

#[test]
fn every_mode_but_the_open_one_has_a_split() {
    assert_eq!(
        Mode::ALL.map(Split::of),
        [Some(Split::Direct), Some(Split::Reasoning), None]
    );
}

/// A record with one text replaced by another.
fn with(what: &str, by: &str) -> String {
    let good = r#"{"model": "m", "dataset": "d", "index": 3, "answer": "Yes", "prediction_direct": "Yes",
        "prediction_edited_direct": "No", "prediction_edited_kept_direct": "Yes",
        "prediction_edited_kept_normal_direct": "Yes"}"#;
    assert!(good.contains(what));
    let bad = good.replace(what, by);
    let error = read(format!("[{good}, {bad}]").as_bytes()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Invalid);
    error.to_string()
}

#[test]
fn a_wrong_record_is_named() {
    for (what, by, sentence) in [
        ("\"model\": \"m\",", "", "record 2 has no key `model`"),
        (
            "\"index\": 3",
            "\"index\": -1",
            "record 2 has a key `index` that is no whole number from 0 on",
        ),
        (
            "\"index\": 3",
            "\"index\": 3.5",
            "record 2 has a key `index` that is no whole number from 0 on",
        ),
        (
            "\"index\": 3",
            "\"index\": \"3\"",
            "record 2 has a key `index` that is no whole number from 0 on",
        ),
        (
            "\"answer\": \"Yes\"",
            "\"answer\": true",
            "record 2 has a key `answer` that is no text",
        ),
        (
            "\"prediction_edited_direct\": \"No\"",
            "\"prediction_edited_direct\": null",
            "record 2 has a key `prediction_edited_direct` that is no text",
        ),
        (
            "prediction_edited_direct",
            "prediction_edited_cot",
            "record 2 has no key `prediction_edited_direct`",
        ),
        (
            "prediction_direct",
            "prediction",
            "record 2 has neither `prediction_direct` nor `prediction_cot`",
        ),
        (
            "\"index\": 3",
            "\"index\": 3, \"question\": \"?\"",
            "record 2 has the unknown key `question`",
        ),
    ] {
        assert_eq!(with(what, by), sentence);
    }
    for broken in ["", "{}", "[", "[1]", "[] []", "\u{feff}[]"] {
        assert!(read(broken.as_bytes()).is_err(), "{broken}");
    }
    // Every beginning of a file is refused, not half of it read.
    for end in 0..DIRECT.len() {
        assert!(read(&DIRECT[..end]).is_err(), "{end}");
    }
}

proptest! {
    #[test]
    fn written_records_are_read_again(
        texts in prop::array::uniform7(any::<String>()), index: u64, direct: bool,
    ) {
        let [model, dataset, answer, predictions @ ..] = texts;
        let split = if direct { Split::Direct } else { Split::Reasoning };
        let record = Record { model, dataset, index, answer, split, predictions };
        let written = write(&[record.clone(), record.clone()]);
        prop_assert!(written.is_ascii());
        prop_assert_eq!(read(&written).unwrap(), [record.clone(), record]);
    }
}
