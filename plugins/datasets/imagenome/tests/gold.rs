//! The gold annotations against what pandas finds in a small archive, which `fixtures/make_gold.py` writes.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write as _,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};
use medfocus_dataset_imagenome::ImagenomeReader;
use medfocus_plugin_api::{DatasetReader, ErrorKind, Result, testkit::LocalHost};
use serde_json::{Value, json};
use tempfile::TempDir;

const GOLD: &str = "chest-imagenome/1.0.0/gold_dataset/gold_object_attribute_with_coordinates.txt";

fn archive() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/archive")
}

fn open(root: &Path) -> Result<ImagenomeReader> {
    LocalHost::new().create(json!({"path": root.to_str().unwrap()}))
}

fn text() -> Vec<u8> {
    fs::read(archive().join(GOLD)).unwrap()
}

fn expected() -> Vec<Value> {
    serde_json::from_str(include_str!("fixtures/gold.json")).unwrap()
}

/// The archive with other annotations, in a file of this name's end.
fn with(annotations: &[u8], end: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(format!("{GOLD}{end}"));
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, annotations).unwrap();
    symlink(
        archive().join("mimic-cxr-jpg"),
        folder.path().join("mimic-cxr-jpg"),
    )
    .unwrap();
    folder
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Every sample is what pandas finds.
fn agrees(reader: &ImagenomeReader) {
    let expected = expected();
    assert_eq!(reader.info().unwrap().len, expected.len() as u64);
    let mut patients = BTreeMap::new();
    for (index, expected) in (0..).zip(&expected) {
        let sample = reader.sample(index);
        if expected["size"].is_null() {
            let error = sample.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Missing);
            let file = expected["file"].as_str().unwrap();
            assert!(error.to_string().contains(file), "{error}");
            continue;
        }
        let sample = sample.unwrap();
        assert_eq!(sample.key.dataset, "imagenome");
        assert_eq!(sample.key.index, index);
        // No two films have the same size and grey.
        assert_eq!(
            json!([sample.image.width(), sample.image.height()]),
            expected["size"]
        );
        assert_eq!(json!(sample.image.bytes()[0]), expected["level"]);
        assert_eq!(json!(sample.finding), expected["finding"]);
        assert_eq!(json!(sample.question), expected["question"]);
        assert_eq!(sample.present, Some(true));
        let boxes: Vec<_> = sample.boxes.iter().map(|bbox| bbox.corners()).collect();
        assert_eq!(json!(boxes), expected["boxes"], "sample {index}");
        patients.insert(
            expected["patient"].as_str().unwrap().to_owned(),
            sample.patient.unwrap(),
        );
    }
    let names: BTreeSet<_> = patients.values().collect();
    assert_eq!(
        (patients.len(), names.len()),
        (3, 3),
        "a name for each patient"
    );
    for (patient, name) in &patients {
        assert!(!name.contains(&patient[..4]), "{name} is no pseudonym");
    }
}

#[test]
fn every_sample_is_what_pandas_finds() {
    agrees(&open(&archive()).unwrap());
}

#[test]
fn what_is_passed_over_is_counted_and_named() {
    let info = open(&archive()).unwrap().info().unwrap();
    let oddities: Vec<_> = info
        .oddities
        .iter()
        .map(|oddity| {
            let line = oddity
                .first
                .strip_prefix("gold_object_attribute_with_coordinates.txt, line ");
            (oddity.what.as_str(), oddity.count, line.unwrap())
        })
        .collect();
    // Lines counted by hand; the tenth row is of two lines.
    let expected = [
        ("rows given twice", 1, "14"),
        ("boxes without area", 2, "17"),
        ("boxes that are no four numbers", 7, "22"),
        ("rows without patient, study, image or finding", 5, "29"),
        ("rows with too few cells", 2, "34"),
    ];
    assert_eq!(oddities, expected);
}

#[test]
fn what_happens_to_boxes_is_said() {
    let reader = open(&archive()).unwrap();
    let warnings = |index| reader.sample(index).unwrap().warnings;
    assert_eq!(
        warnings(1),
        [
            "1 box reaches beyond the image and is clipped",
            "1 box lies outside the image and is left out",
            "2 boxes have no area and are left out",
        ]
    );
    assert_eq!(
        warnings(9),
        ["5 boxes have no four numbers and are left out"]
    );
    assert!(warnings(3).is_empty());
}

#[test]
fn how_the_file_is_written_changes_nothing() {
    let text = text();
    let windows = String::from_utf8(text.clone())
        .unwrap()
        .replace('\n', "\r\n");
    let marked = [b"\xef\xbb\xbf", &text[..]].concat();
    let same = [
        with(&marked, ""),
        with(&gzip(&text), ".gz"),
        with(&gzip(&text), ""),
        with(&[gzip(&text[..500]), gzip(&text[500..])].concat(), ".gz"),
    ];
    let digest = open(&archive()).unwrap().info().unwrap().digest;
    for folder in &same {
        let reader = open(folder.path()).unwrap();
        agrees(&reader);
        assert_eq!(reader.info().unwrap().digest, digest);
    }
    let windows = open(with(windows.as_bytes(), "").path()).map(|reader| reader.info().unwrap());
    assert_eq!(windows.unwrap().len, expected().len() as u64);
    let other = with(&[&text[..], b"\n"].concat(), "");
    assert_ne!(open(other.path()).unwrap().info().unwrap().digest, digest);
}

#[test]
fn a_file_cut_short_is_refused_or_read_up_to_there() {
    let text = text();
    let whole = open(&archive()).unwrap().info().unwrap().len;
    let mut refused = 0;
    for end in (0..text.len()).step_by(7) {
        match open(with(&text[..end], "").path()) {
            Ok(reader) => assert!(reader.info().unwrap().len <= whole),
            Err(error) => {
                assert!(
                    error.to_string().starts_with("gold_object_attribute"),
                    "{error}"
                );
                refused += 1;
            }
        }
    }
    assert!(refused > 10, "a header cut short lacks columns");
}

#[test]
fn what_is_wrong_is_named() {
    let unset = LocalHost::new().create::<ImagenomeReader>(json!({}));
    let sentence = unset.err().unwrap().to_string();
    assert!(sentence.contains("`path` is missing"), "{sentence}");
    let empty = tempfile::tempdir().unwrap();
    let missing = open(empty.path()).err().unwrap();
    assert_eq!(missing.kind, ErrorKind::Missing);
    assert!(missing.to_string().contains(GOLD), "{missing}");

    let fails = |from: &str, to: &str, words: &str| {
        let text = String::from_utf8(text()).unwrap().replacen(from, to, 1);
        let error = open(with(text.as_bytes(), "").path()).err().unwrap();
        assert_eq!(error.kind, ErrorKind::Invalid);
        assert!(error.to_string().contains(words), "{error}");
    };
    fails(
        "coord_original",
        "coordinates",
        "no column `coord_original`",
    );
    fails(
        "\t10000032\t",
        "\tp10000032\t",
        "line 2: `patient_id` is no whole number",
    );
    fails(
        "[10, 5, 30, 25]",
        "[10, 5, 30, 25]\tmore",
        "line 2 has 15 cells, the header 14",
    );
    let beyond = open(&archive()).unwrap().sample(13).unwrap_err();
    assert!(
        beyond.to_string().contains("sample 13 is beyond the 13"),
        "{beyond}"
    );
}

#[test]
fn no_name_leads_out_of_the_archive() {
    let text = String::from_utf8(text()).unwrap();
    let text = text.replace("68b5c4b1-227d0485.dcm", "../../../../../../etc/passwd");
    let reader = open(with(text.as_bytes(), "").path()).unwrap();
    let error = reader.sample(0).unwrap_err();
    assert!(error.to_string().contains("leads out of"), "{error}");
}
