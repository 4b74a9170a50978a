//! What one format says, every other says to the digit.

use std::{collections::BTreeMap, io::Write};

use parquet::{
    file::reader::{FileReader, SerializedFileReader},
    record::{Row, RowAccessor},
};

use super::{Files, synthetic};
use crate::{
    experiment::record::{MethodOutcome, Outcome},
    report::text::{number, p_value, signed},
};

type Line = BTreeMap<String, String>;

/// The lines of a CSV file by column.
fn lines(csv: &str) -> Vec<Line> {
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let lines = reader.deserialize().map(|line| line.unwrap());
    lines.collect()
}

/// A number of a line, if it is there.
fn get(line: &Line, column: &str) -> Option<f64> {
    let text = &line[column];
    (!text.is_empty()).then(|| text.parse().unwrap())
}

/// A mean as `table.md` must show it, from the numbers of `table.csv`.
fn shown(line: &Line, name: &str) -> String {
    let Some(mean) = get(line, name) else {
        return String::new();
    };
    let mut text = number(mean);
    let end = |end: &str| {
        line.get(&format!("{name}_{end}"))
            .filter(|text| !text.is_empty())
    };
    if let (Some(low), Some(high)) = (end("low"), end("high")) {
        text += &format!(
            " ({} to {})",
            number(low.parse().unwrap()),
            number(high.parse().unwrap())
        );
    }
    let n = &line[&format!("{name}_n")];
    if *n != line["scored"] {
        text += &format!(" (n = {n})");
    }
    text
}

fn shown_gain(line: &Line) -> String {
    let Some(gain) = get(line, "gain") else {
        return String::new();
    };
    let ends = ["gain_low", "gain_high"].map(|end| number(get(line, end).unwrap()));
    format!(
        "{} ({}), {} over {}",
        signed(gain),
        ends.join(" to "),
        p_value(get(line, "gain_p").unwrap()),
        line["best_control"]
    )
}

const TITLES: [(&str, &str); 12] = [
    ("IoU", "iou"),
    ("F1", "f1"),
    ("Precision", "precision"),
    ("Recall", "recall"),
    ("Pointing game", "pointing_game"),
    ("AUPRC", "auprc"),
    ("Deletion AUC", "deletion_auc"),
    ("Insertion AUC", "insertion_auc"),
    ("Empty", "empty"),
    ("Fallback", "fallback"),
    ("Model calls", "model_calls"),
    ("Seconds", "seconds"),
];

#[test]
fn markdown_shows_the_numbers_of_the_csv() {
    let files = Files::of(&synthetic::results());
    let mut expected = lines(&files.csv).into_iter();
    let mut head: Vec<String> = Vec::new();
    let mut compared = 0;
    for line in files.markdown.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<String> = line
            .trim_matches('|')
            .split(" | ")
            .map(|c| c.trim().to_owned())
            .collect();
        match cells[0].as_str() {
            "Method" => head = cells,
            "Finding" | "Model" => head.clear(),
            "---" => {}
            _ if head.is_empty() => {}
            method => {
                let line = expected.next().unwrap();
                assert!(
                    method.replace("**", "").starts_with(&line["method"]),
                    "{method}"
                );
                if line["scored"].is_empty() {
                    assert!(cells[1].contains("does not fit"), "{cells:?}");
                    assert!(line["note"].contains("needs a model that can"));
                    continue;
                }
                assert_eq!(
                    cells[1],
                    format!("{} of {}", line["scored"], line["attempted"])
                );
                assert_eq!(cells[2], line["failed"]);
                for (title, name) in TITLES {
                    let at = head.iter().position(|cell| cell == title).unwrap();
                    assert_eq!(cells[at], shown(&line, name), "{title} of {method}");
                    compared += 1;
                }
                assert_eq!(*cells.last().unwrap(), shown_gain(&line));
            }
        }
    }
    assert_eq!(expected.next(), None, "every line of the CSV has been met");
    assert!(compared > 300, "{compared}");
}

/// The values that a piece of the page shows.
fn values(html: &str) -> Vec<&str> {
    let marks = html.split("class=\"value\">").skip(1);
    marks.map(|rest| rest.split('<').next().unwrap()).collect()
}

/// The interval ends that it shows.
fn ends(html: &str) -> Vec<&str> {
    let marks = html.split("class=\"ends\">").skip(1);
    marks.map(|rest| rest.split('<').next().unwrap()).collect()
}

#[test]
fn the_page_shows_the_numbers_of_the_csv() {
    let files = Files::of(&synthetic::results());
    let lines = lines(&files.csv);
    let lines: Vec<&Line> = lines
        .iter()
        .filter(|line| !line["scored"].is_empty())
        .collect();
    // The page's rows in the order of the CSV's: each group has a table of agreement and one of the rest.
    let tables: Vec<&str> = files.html.split("<table ").skip(1).collect();
    let rows = |title: &str| -> Vec<&str> {
        let tables = tables
            .iter()
            .filter(|table| table.split("</thead>").next().unwrap().contains(title));
        let rows = tables.flat_map(|table| {
            let table = table.split("</table>").next().unwrap();
            table
                .split("<tr")
                .skip(1)
                .filter(|row| row.contains("<td") && !row.contains("colspan"))
        });
        rows.collect()
    };
    for (title, names) in [
        (
            "Precision",
            &["iou", "gain", "f1", "precision", "recall"][..],
        ),
        (
            "AUPRC",
            &[
                "pointing_game",
                "auprc",
                "deletion_auc",
                "insertion_auc",
                "empty",
                "fallback",
            ][..],
        ),
    ] {
        let rows = rows(title);
        assert_eq!(rows.len(), lines.len());
        for (row, line) in rows.iter().zip(&lines) {
            assert!(row.contains(&line["method"]));
            let there: Vec<&str> = names
                .iter()
                .copied()
                .filter(|name| get(line, name).is_some())
                .collect();
            let expected: Vec<String> = there
                .iter()
                .map(|name| {
                    let value = get(line, name).unwrap();
                    if *name == "gain" {
                        signed(value)
                    } else {
                        number(value)
                    }
                })
                .collect();
            assert_eq!(values(row), expected, "{title} of {}", line["method"]);
            let expected: Vec<String> = there
                .iter()
                .filter_map(|name| {
                    let end = |end: &str| line.get(&format!("{name}_{end}"));
                    let (low, high) = (end("low")?.parse().ok()?, end("high")?.parse().ok()?);
                    Some(format!("{} to {}", number(low), number(high)))
                })
                .collect();
            assert_eq!(ends(row), expected, "{title} of {}", line["method"]);
        }
    }
}

fn parquet_rows(bytes: Vec<u8>) -> Vec<Row> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&bytes).unwrap();
    let reader = SerializedFileReader::new(file).unwrap();
    assert_eq!(reader.metadata().num_row_groups(), 1);
    reader
        .get_row_iter(None)
        .unwrap()
        .map(|row| row.unwrap())
        .collect()
}

fn text(row: &Row, column: &str) -> Option<String> {
    let at = row
        .get_column_iter()
        .position(|(name, _)| name == column)
        .unwrap();
    row.get_string(at).ok().cloned()
}

fn real(row: &Row, column: &str) -> Option<f64> {
    let at = row
        .get_column_iter()
        .position(|(name, _)| name == column)
        .unwrap();
    row.get_double(at).ok()
}

#[test]
fn the_means_of_the_csv_are_those_of_the_parquet_file() {
    let files = Files::of(&synthetic::results());
    let rows = parquet_rows(files.parquet);
    let mut compared = 0;
    for line in lines(&files.csv) {
        if line["model"] == "all" || line["scored"].is_empty() {
            continue;
        }
        let same = rows.iter().filter(|row| {
            ["model", "mode", "method"]
                .iter()
                .all(|column| text(row, column).as_deref() == Some(&line[*column]))
        });
        for (metric, scale) in [
            ("iou", 100.0),
            ("precision", 100.0),
            ("deletion_auc", 1.0),
            ("seconds", 1.0),
        ] {
            let values: Vec<f64> = same
                .clone()
                .filter(|row| text(row, "status").unwrap() == "scored")
                .filter_map(|row| real(row, metric))
                .collect();
            let mean = values.iter().sum::<f64>() / values.len() as f64 * scale;
            match get(&line, metric) {
                Some(found) => assert!((found - mean).abs() < 1e-9),
                None => assert!(values.is_empty()),
            }
            compared += 1;
        }
    }
    assert_eq!(compared, 4 * 2 * 9);
}

#[test]
fn the_parquet_file_holds_every_result() {
    let results = synthetic::results();
    let rows = parquet_rows(Files::of(&results).parquet);
    let mut rows = rows.iter();
    let names: Vec<String> = (rows.clone().next().unwrap().get_column_iter())
        .map(|(name, _)| name.clone())
        .collect();
    assert_eq!(
        names,
        [
            "dataset",
            "model",
            "mode",
            "index",
            "finding",
            "method",
            "control",
            "status",
            "exclusion",
            "group",
            "iou",
            "f1",
            "precision",
            "recall",
            "pointing_game",
            "auprc",
            "deletion_auc",
            "insertion_auc",
            "flip",
            "flip_gain",
            "keep",
            "keep_gain",
            "boxes",
            "empty",
            "fallback",
            "calls",
            "images",
            "seconds",
            "error",
        ]
    );
    for record in &results.records {
        let results = match &record.outcome {
            Outcome::Attributed { results } => results.iter().map(Some).collect(),
            _ => vec![None],
        };
        for result in results {
            let row = rows.next().unwrap();
            assert_eq!(text(row, "model").as_ref(), Some(&record.case.model));
            assert_eq!(row.get_long(3).unwrap(), record.case.index as i64);
            assert_eq!(
                text(row, "finding"),
                record.subject.as_ref().map(|s| s.finding.clone())
            );
            assert_eq!(
                text(row, "method"),
                result.map(|result| result.method.clone())
            );
            let (status, exclusion) = match record.case.index {
                8 => ("excluded", Some("unannotated")),
                9 => ("failed", None),
                10 => ("excluded", Some("incorrect")),
                11 => ("excluded", Some("undecided")),
                _ => match &result.unwrap().outcome {
                    MethodOutcome::Scored { .. } => ("scored", None),
                    MethodOutcome::Failed { .. } => ("failed", None),
                },
            };
            assert_eq!(text(row, "status").unwrap(), status);
            assert_eq!(text(row, "exclusion").as_deref(), exclusion);
            assert_eq!(text(row, "error").is_some(), status == "failed");
            if let Some(MethodOutcome::Scored { boxes, metrics, .. }) = result.map(|r| &r.outcome) {
                assert_eq!(real(row, "iou"), metrics.get("iou").copied());
                assert_eq!(real(row, "auprc"), metrics.get("auprc").copied());
                let read: Vec<crate::attribute::BoxRecord> =
                    serde_json::from_str(&text(row, "boxes").unwrap()).unwrap();
                assert_eq!(read, *boxes);
            } else {
                assert_eq!(real(row, "iou"), None);
                assert_eq!(text(row, "boxes"), None);
            }
        }
    }
    assert!(rows.next().is_none());
}

#[test]
fn the_same_results_give_the_same_bytes() {
    let results = synthetic::results();
    let (first, second) = (Files::of(&results), Files::of(&results));
    assert_eq!(first.markdown, second.markdown);
    assert_eq!(first.csv, second.csv);
    assert_eq!(first.parquet, second.parquet);
    assert_eq!(first.html, second.html);
}

#[test]
fn timings_are_in_columns_of_seconds_only() {
    let results = synthetic::results();
    let mut slower = results.clone();
    for record in &mut slower.records {
        record.seconds *= 3.0;
        if let Outcome::Attributed { results } = &mut record.outcome {
            results.iter_mut().for_each(|result| result.seconds *= 3.0);
        }
    }
    let (files, slower) = (Files::of(&results), Files::of(&slower));
    for (before, after) in lines(&files.csv).iter().zip(lines(&slower.csv)) {
        for (column, value) in before {
            let changed = *value != after[column];
            assert_eq!(
                changed,
                column == "seconds" && !value.is_empty(),
                "{column}"
            );
        }
    }
    for (before, after) in parquet_rows(files.parquet)
        .iter()
        .zip(parquet_rows(slower.parquet))
    {
        for ((column, before), (_, after)) in before.get_column_iter().zip(after.get_column_iter())
        {
            assert_eq!(before != after, column == "seconds", "{column}");
        }
    }
    let fixed = |html: &str| {
        html.replace("1.25", "")
            .replace("3.75", "")
            .replace("0.01", "")
            .replace("0.03", "")
    };
    assert_eq!(fixed(&files.html), fixed(&slower.html));
}
