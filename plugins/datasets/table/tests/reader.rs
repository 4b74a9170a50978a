//! A table is what its rows say, in whatever format; a row that means nothing is counted or named.

use std::{fs, path::Path};

use medfocus_annotations::pseudonym;
use medfocus_dataset_table::TableReader;
use medfocus_imaging::encode::encode_png_gray;
use medfocus_plugin_api::{
    DatasetInfo, DatasetReader, ErrorKind, Result, SampleKey, testkit::LocalHost,
};
use ndarray::Array2;
use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");

/// The columns of the fixtures.
fn params(file: &str) -> Value {
    json!({
        "path": format!("{FIXTURES}/{file}"), "images": "images", "name": "mine",
        "image": "file", "finding": "label", "boxes": "left,top, w,h", "form": "size",
        "question_column": "ask", "present": "there", "patient": "who",
    })
}

fn open(params: Value) -> Result<TableReader> {
    LocalHost::new().create(params)
}

/// A folder with this table as `t.csv`, and an image of 20 x 10 pixels.
fn written(name: &str, table: impl AsRef<[u8]>) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(name), table).unwrap();
    let image = encode_png_gray(Array2::from_elem((10, 20), 7).view()).unwrap();
    fs::write(folder.path().join("a.png"), image).unwrap();
    folder
}

fn path(folder: &TempDir, name: &str) -> String {
    folder.path().join(name).to_str().unwrap().to_owned()
}

/// The sentence with which a table is refused, opened with these parameters besides.
fn refused(name: &str, table: impl AsRef<[u8]>, more: Value) -> String {
    let folder = written(name, table);
    let mut params = json!({"path": path(&folder, name)});
    let more = more.as_object().unwrap().clone();
    params.as_object_mut().unwrap().extend(more);
    let error = open(params).err().expect("it is refused");
    assert!(!error.message.contains('\n'), "{error}");
    error.to_string()
}

fn corners(reader: &TableReader, index: u64) -> Vec<[u32; 4]> {
    let sample = reader.sample(index).unwrap();
    sample.boxes.iter().map(|bbox| bbox.corners()).collect()
}

fn oddities(info: &DatasetInfo) -> Vec<(&str, u64, &str)> {
    let oddities = info.oddities.iter();
    oddities
        .map(|oddity| (oddity.what.as_str(), oddity.count, oddity.first.as_str()))
        .collect()
}

#[test]
fn every_format_means_the_samples_that_python_finds() {
    let expected: Vec<Value> =
        serde_json::from_slice(&fs::read(format!("{FIXTURES}/samples.json")).unwrap()).unwrap();
    assert_eq!(expected.len(), 8);
    for file in [
        "boxes.csv",
        "boxes.tsv",
        "boxes.json",
        "boxes.jsonl.gz",
        "boxes.jsonl",
    ] {
        let reader = open(params(file)).unwrap();
        let info = reader.info().unwrap();
        assert_eq!((info.name.as_str(), info.len), ("mine", 8), "{file}");
        for (wanted, index) in expected.iter().zip(0..) {
            if wanted["size"].is_null() {
                let error = reader.sample(index).unwrap_err();
                assert_eq!(error.kind, ErrorKind::Missing);
                assert!(error.message.contains("images/gone.png"), "{error}");
                continue;
            }
            let sample = reader.sample(index).unwrap();
            assert_eq!(
                sample.key,
                SampleKey {
                    dataset: "mine".into(),
                    index
                }
            );
            let read = json!({
                "image": wanted["image"],
                "size": [sample.image.width(), sample.image.height(), u32::from(sample.image.bytes()[7])],
                "finding": sample.finding,
                "question": sample.question,
                "present": sample.present,
                "who": wanted["who"],
                "boxes": sample.boxes.iter().map(|bbox| bbox.corners()).collect::<Vec<_>>(),
            });
            assert_eq!(&read, wanted, "{file}, sample {index}");
            let patient = pseudonym("mine", wanted["who"].as_str().unwrap());
            assert_eq!(sample.patient, Some(patient));
        }
        let normal = reader.sample(4).unwrap();
        assert!(normal.is_normal());
        assert_eq!(
            reader.sample(5).unwrap().warnings,
            [
                "1 box lies outside the image and is left out",
                "1 box has no area and is left out",
                "2 boxes have no four numbers and are left out",
            ]
        );
        assert!(
            reader
                .sample(8)
                .unwrap_err()
                .message
                .contains("beyond the 8")
        );
    }
}

#[test]
fn what_is_passed_over_is_counted() {
    let read = |file| open(params(file)).unwrap().info().unwrap();
    let csv = read("boxes.csv");
    let counted = [
        ("boxes without area", 1, "boxes.csv, line 9"),
        ("boxes that are no four numbers", 2, "boxes.csv, line 10"),
        ("rows without image or finding", 2, "boxes.csv, line 13"),
        (
            "rows that contradict an earlier one of their sample",
            1,
            "boxes.csv, line 16",
        ),
        (
            "samples with boxes of what is not there",
            1,
            "boxes.csv, line 15",
        ),
    ];
    assert_eq!(oddities(&csv), counted);
    let json = read("boxes.json");
    let counts = |info: &DatasetInfo| -> Vec<_> {
        let oddities = info.oddities.iter();
        oddities
            .map(|oddity| (oddity.what.clone(), oddity.count))
            .collect()
    };
    assert_eq!(counts(&json), counts(&csv));
    assert_eq!(json.oddities[0].first, "boxes.json, object 7");
}

#[test]
fn the_digest_is_that_of_the_text_and_its_meaning() {
    let table = "image,finding,x1,y1,x2,y2\na.png,mass,1,2,3,4\n";
    let digest = |name: &str, table: &str, more: Value| {
        let folder = written(name, table);
        let mut params = json!({"path": path(&folder, name)});
        params
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        open(params).unwrap().info().unwrap().digest
    };
    let first = digest("t.csv", table, json!({}));
    // Wherever it lies.
    assert_eq!(digest("t.csv", table, json!({})), first);
    for other in [
        digest("t.csv", &table.replace('3', "5"), json!({})),
        digest("t.csv", table, json!({"form": "size"})),
        digest("t.csv", table, json!({"unit": "fractions"})),
        digest("t.csv", table, json!({"question": "{finding}?"})),
    ] {
        assert_ne!(other, first);
    }
    let compressed = |file| open(params(file)).unwrap().info().unwrap().digest;
    assert_eq!(compressed("boxes.jsonl"), compressed("boxes.jsonl.gz"));
}

#[test]
fn boxes_are_told_in_three_ways() {
    let read = |name: &str, table: &str, more: Value| {
        let folder = written(name, table);
        let mut params = json!({"path": path(&folder, name)});
        params
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        corners(&open(params).unwrap(), 0)
    };
    let csv = "image,finding,x1,y1,x2,y2,box\na.png,mass,1,2,3,4,\"[1, 2, 3, 4]\"\n";
    assert_eq!(read("t.csv", csv, json!({})), [[1, 2, 3, 4]]);
    assert_eq!(read("t.csv", csv, json!({"form": "size"})), [[1, 2, 4, 6]]);
    assert_eq!(read("t.csv", csv, json!({"boxes": "box"})), [[1, 2, 3, 4]]);
    assert_eq!(
        read("t.csv", csv, json!({"boxes": "box", "form": "size"})),
        [[1, 2, 4, 6]]
    );
    assert!(read("t.csv", csv, json!({"boxes": ""})).is_empty());
    // Of an image of 20 x 10.
    let shares = csv.replace("1,2,3,4,", "0.1,0.1,0.5,1,");
    assert_eq!(
        read("t.csv", &shares, json!({"unit": "fractions"})),
        [[2, 1, 10, 10]]
    );
    let lines = r#"{"image": "a.png", "finding": "mass", "bbox": [1, 2.5, 3, 4]}"#;
    assert_eq!(
        read("t.JSONL", lines, json!({"boxes": "bbox", "form": "size"})),
        [[1, 2, 4, 6]]
    );
}

#[test]
fn a_table_is_called_as_its_file() {
    for (file, name) in [("a b.csv", "a b"), ("x.y.tsv.gz", "x.y")] {
        let table = match file.contains("tsv") {
            true => "image\tfinding\na.png\tmass\n",
            false => "image,finding\na.png,mass\n",
        };
        let folder = written(file, table);
        let reader = open(json!({"path": path(&folder, file), "boxes": ""})).unwrap();
        assert_eq!(reader.info().unwrap().name, name);
        // Its images lie beside it, and nobody knows whether the finding is there.
        let sample = reader.sample(0).unwrap();
        assert_eq!((sample.present, sample.image.width()), (None, 20));
    }
}

#[test]
fn images_stay_below_their_folder() {
    for image in [
        "../a.png",
        "/etc/passwd",
        "b/../../a.png",
        "./../a.png",
        "..",
    ] {
        let table = format!("image,finding\na.png,mass\n{image},mass\n");
        let sentence = refused("t.csv", table, json!({"boxes": ""}));
        assert!(
            sentence.starts_with("t.csv, line 3: its image is not below the folder of images; "),
            "{sentence}"
        );
    }
    // The folder itself may be anywhere.
    let folder = written("t.csv", "image,finding\na.png,mass\n");
    let elsewhere = written("b.png", "");
    let elsewhere = elsewhere.path().to_str().unwrap();
    let params = json!({"path": path(&folder, "t.csv"), "boxes": "", "images": elsewhere});
    assert!(open(params).unwrap().sample(0).is_ok());
    // Neither a folder nor what is no image is one.
    let folder = written("t.csv", "image,finding\nsub,mass\nt.csv,mass\n");
    fs::create_dir(folder.path().join("sub")).unwrap();
    let reader = open(json!({"path": path(&folder, "t.csv"), "boxes": ""})).unwrap();
    for index in 0..2 {
        let error = reader.sample(index).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Invalid, "{error}");
    }
}

#[test]
fn what_cannot_be_read_is_said_in_a_sentence() {
    let csv = "image,finding,x1,y1,x2,y2,there\na.png,mass,1,2,3,4,perhaps\n";
    for (name, table, more, words) in [
        (
            "t.csv",
            csv,
            json!({"present": "there"}),
            "t.csv, line 2: whether the finding is there is neither yes nor no",
        ),
        (
            "t.csv",
            csv,
            json!({"image": "img"}),
            "t.csv has no column `img`; its columns are: image, finding",
        ),
        (
            "t.csv",
            csv,
            json!({"image": ""}),
            "parameter `image` names no column",
        ),
        (
            "t.csv",
            csv,
            json!({"boxes": "x1,y1,x2"}),
            "neither four columns nor one nor none",
        ),
        (
            "t.csv",
            csv,
            json!({"boxes": "x1,y1,,y2"}),
            "neither four columns nor one nor none",
        ),
        (
            "t.csv",
            csv,
            json!({"question": " "}),
            "parameter `question` is empty",
        ),
        (
            "t.txt",
            csv,
            json!({}),
            "does not say what it is; it ends in .csv",
        ),
        ("t.csv", "", json!({}), "no column `image`"),
        (
            "t.csv",
            "image,finding,x1,y1,x2,y2\n",
            json!({}),
            "has no row with image and finding",
        ),
        (
            "t.csv",
            "image,finding\n\"a.png,mass\n",
            json!({"boxes": ""}),
            "a quotation begins there and does not end",
        ),
        ("t.json", "{}", json!({}), "t.json cannot be read"),
        (
            "t.json",
            "[{\"image\": \"a.png\"",
            json!({}),
            "it holds a list of JSON objects",
        ),
        ("t.json", "[1]", json!({}), "t.json cannot be read"),
        (
            "t.json",
            "[{\"image\": \"a.png\", \"finding\": NaN}]",
            json!({}),
            "t.json cannot be read",
        ),
        (
            "t.json",
            "[]",
            json!({}),
            "no object of t.json has the key `image`",
        ),
        (
            "t.jsonl",
            "{\"image\": \"a.png\"}\n{\"ima",
            json!({}),
            "it holds a JSON object on each line",
        ),
        (
            "t.jsonl",
            "{\"image\": \"a.png\"}",
            json!({}),
            "no object of t.jsonl has the key `finding`",
        ),
    ] {
        let sentence = refused(name, table, more);
        assert!(sentence.contains(words), "no `{words}` in {sentence}");
    }
    let latin = refused(
        "t.csv",
        b"image,finding\n\xe9.png,mass\n",
        json!({"boxes": ""}),
    );
    assert!(latin.contains("not text in UTF-8"), "{latin}");
    let error = open(json!({"path": "nowhere/t.csv"})).err().unwrap();
    assert_eq!(error.kind, ErrorKind::Missing);
    assert_eq!(open(json!({})).err().unwrap().key.as_deref(), Some("path"));
    // A compressed table that is cut short.
    let whole = fs::read(format!("{FIXTURES}/boxes.jsonl.gz")).unwrap();
    let cut = refused("t.jsonl.gz", &whole[..whole.len() / 2], json!({}));
    assert!(cut.contains("t.jsonl.gz cannot be read"), "{cut}");
}

#[test]
fn no_patient_is_named() {
    let reader = open(params("boxes.csv")).unwrap();
    let names: Vec<_> = (0..7)
        .map(|index| reader.sample(index).unwrap().patient.unwrap())
        .collect();
    assert!(
        names
            .iter()
            .all(|name| name.len() == 12 && Path::new(name).is_relative())
    );
    // Two findings of one patient, and of another; an image without a patient is one of its own.
    assert_eq!(names[0], names[1]);
    assert_eq!(names[2], names[3]);
    assert_eq!(names[4], names[5]);
    assert!(names[0] != names[2] && names[2] != names[4]);
}

proptest! {
    #[test]
    fn whatever_a_table_holds_it_is_read_or_refused(
        rows in prop::collection::vec("[a.png,\"\\[\\]0-9{}:\n\r-]{0,40}", 0..6), format in 0..3usize,
    ) {
        let name = ["t.csv", "t.json", "t.jsonl"][format];
        let head = ["image,finding,x1,y1,x2,y2\n", "[", ""][format];
        let folder = written(name, format!("{head}{}", rows.join("\n")));
        if let Ok(reader) = open(json!({"path": path(&folder, name)})) {
            for index in 0..reader.info().unwrap().len {
                if let Ok(sample) = reader.sample(index) {
                    prop_assert!(sample.boxes.iter().all(|bbox| bbox.clip(20, 10) == Some(*bbox)));
                }
            }
        }
    }
}
