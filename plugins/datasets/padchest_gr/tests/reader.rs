//! The archive's findings against what Python and Pillow find in a small one, which `fixtures/make_padchest.py` writes.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write as _,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};
use medfocus_dataset_padchest_gr::PadchestReader;
use medfocus_plugin_api::{DatasetReader, ErrorKind, Mode, Result, testkit::LocalHost};
use serde_json::{Value, json};
use tempfile::TempDir;

const STUDIES: &str = "filtered_studies.json";
const IMAGES: &str = "PadChest_GR";

fn archive() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/archive")
}

fn open(root: &Path, mut params: Value) -> Result<PadchestReader> {
    params["path"] = json!(root.to_str().unwrap());
    LocalHost::new().create(params)
}

fn text() -> String {
    fs::read_to_string(archive().join(STUDIES)).unwrap()
}

fn expected(split: &str) -> Vec<Value> {
    let splits: Value = serde_json::from_str(include_str!("fixtures/padchest.json")).unwrap();
    serde_json::from_value(splits[split].clone()).unwrap()
}

/// The archive with other studies, in a file of this name's end.
fn with(studies: &[u8], end: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(format!("{STUDIES}{end}")), studies).unwrap();
    symlink(archive().join(IMAGES), folder.path().join(IMAGES)).unwrap();
    folder
}

/// Every sample is what Python and Pillow find; the names of its patients, and theirs.
fn agrees(reader: &PadchestReader, expected: &[Value]) -> BTreeMap<String, String> {
    let info = reader.info().unwrap();
    assert_eq!(info.len, expected.len() as u64);
    let mut patients = BTreeMap::new();
    for (index, expected) in (0..).zip(expected) {
        let sample = reader.sample(index).unwrap();
        assert_eq!(sample.key.dataset, info.name);
        assert_eq!(sample.key.index, index);
        // No two films have the same size.
        let (width, height) = (sample.image.width(), sample.image.height());
        assert_eq!(json!([width, height]), expected["size"], "sample {index}");
        assert_eq!(json!(sample.finding), expected["finding"]);
        assert_eq!(json!(sample.question), expected["question"]);
        assert_eq!(sample.present, Some(true));
        let boxes: Vec<_> = sample.boxes.iter().map(|bbox| bbox.corners()).collect();
        assert_eq!(json!(boxes), expected["boxes"], "sample {index}");
        let patient = expected["patient"].as_str().unwrap().to_owned();
        let name = sample.patient.unwrap();
        assert_ne!(name, patient);
        assert_eq!(patients.entry(patient).or_insert(name.clone()), &name);
    }
    let names: BTreeSet<_> = patients.values().collect();
    assert_eq!(names.len(), patients.len(), "a name for each patient");
    patients
}

#[test]
fn every_sample_is_what_python_finds() {
    let open = |params| open(&archive(), params).unwrap();
    let patients = agrees(&open(json!({"check": "decode"})), &expected("test"));
    assert_eq!(patients.len(), 7);
    let four = json!({"check": "decode", "studies": 4});
    assert_eq!(agrees(&open(four), &expected("first4")).len(), 1);
    let train = json!({"split": "train", "studies": 4});
    assert_eq!(agrees(&open(train), &expected("train")).len(), 2);
}

#[test]
fn a_look_at_the_ends_finds_all_but_damage_inside() {
    let reader = open(&archive(), json!({})).unwrap();
    let expected = expected("test");
    assert_eq!(reader.info().unwrap().len, expected.len() as u64 + 1);
    let damaged = 9;
    for index in 0..=expected.len() as u64 {
        let sample = reader.sample(index);
        if index == damaged {
            let error = sample.unwrap_err().to_string();
            assert!(error.contains("damaged.png"), "{error}");
            continue;
        }
        let expected = &expected[index as usize - usize::from(index > damaged)];
        assert_eq!(json!(sample.unwrap().finding), expected["finding"]);
    }
}

#[test]
fn sixteen_bits_are_stretched() {
    let sample = open(&archive(), json!({})).unwrap().sample(0).unwrap();
    let row = &sample.image.bytes()[..48];
    assert_eq!((row[0], row[1], row[47]), (0, 5, 255));
}

#[test]
fn the_doubled_prompt_is_that_of_the_papers_first_code() {
    let questions = |prompt: &str| {
        let reader = open(&archive(), json!({"prompt": prompt})).unwrap();
        let digest = reader.info().unwrap().digest;
        (
            reader.sample(1).unwrap().question + Mode::Direct.suffix(),
            digest,
        )
    };
    let (single, one) = questions("single");
    let (doubled, other) = questions("doubled");
    let asked = "Is there evidence of nodule or mass or pseudonodule in the image?";
    let direct = "Answer directly with yes or no without any explanation.";
    assert_eq!(single, format!("{asked} {direct}"));
    assert_eq!(
        doubled,
        format!("{asked} Answer with a letter, word, phrase, or sentence. {direct}")
    );
    assert_ne!(one, other);
}

#[test]
fn what_is_passed_over_is_counted_and_named() {
    let oddities = |params| -> Vec<_> {
        let info = open(&archive(), params).unwrap().info().unwrap();
        let oddities = info.oddities.into_iter();
        oddities
            .map(|oddity| (oddity.what, oddity.count, oddity.first))
            .collect()
    };
    let named = |what: &str, count: u64, study: u64| {
        let first = format!("filtered_studies.json, study {study}");
        (what.to_owned(), count, first)
    };
    let mut expected = [
        named("studies left out, as their image cannot be read", 3, 2),
        named("boxes without area", 2, 8),
        named("boxes that are no four numbers", 4, 8),
        named("findings without label", 1, 8),
    ];
    assert_eq!(oddities(json!({})), expected);
    expected[0].1 += 1;
    assert_eq!(oddities(json!({"check": "decode"})), expected);
    assert_eq!(oddities(json!({"split": "train"})), []);
}

#[test]
fn what_happens_to_boxes_is_said() {
    let reader = open(&archive(), json!({})).unwrap();
    let warnings = |index| reader.sample(index).unwrap().warnings;
    assert_eq!(
        warnings(5),
        [
            "1 box reaches beyond the image and is clipped",
            "1 box lies outside the image and is left out",
            "3 boxes have no area and are left out",
            "4 boxes have no four numbers and are left out",
        ]
    );
    assert!(warnings(0).is_empty());
}

#[test]
fn an_image_that_comes_or_goes_changes_the_digest() {
    let digest = |gone: &[&str]| {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(STUDIES), text()).unwrap();
        let images = folder.path().join(IMAGES);
        fs::create_dir(&images).unwrap();
        for entry in fs::read_dir(archive().join(IMAGES)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if !gone.contains(&name.as_str()) {
                symlink(archive().join(IMAGES).join(&name), images.join(name)).unwrap();
            }
        }
        let info = open(folder.path(), json!({})).unwrap().info().unwrap();
        (info.len, info.digest)
    };
    let all = digest(&[]);
    assert_eq!(
        all,
        digest(&["short.png"]),
        "that was not read before either"
    );
    let (len, other) = digest(&["b.png"]);
    assert_eq!(len, all.0 - 2);
    assert_ne!(other, all.1);
}

#[test]
fn how_the_file_is_written_changes_nothing() {
    let text = text();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(text.as_bytes()).unwrap();
    let folders = [
        with(format!("\u{feff}{text}").as_bytes(), ""),
        with(&gzip.finish().unwrap(), ".gz"),
        with(text.replace('\n', "\r\n").as_bytes(), ""),
    ];
    let digests = folders.each_ref().map(|folder| {
        let reader = open(folder.path(), json!({"check": "decode"})).unwrap();
        agrees(&reader, &expected("test"));
        reader.info().unwrap().digest
    });
    let digest = open(&archive(), json!({"check": "decode"})).unwrap();
    let digest = digest.info().unwrap().digest;
    assert_eq!(digests[..2], [digest.clone(), digest]);
}

#[test]
fn what_is_wrong_is_named() {
    let unset = LocalHost::new().create::<PadchestReader>(json!({}));
    let sentence = unset.err().unwrap().to_string();
    assert!(sentence.contains("`path` is missing"), "{sentence}");
    let empty = tempfile::tempdir().unwrap();
    for missed in [IMAGES, STUDIES] {
        let missing = open(empty.path(), json!({})).err().unwrap();
        assert_eq!(missing.kind, ErrorKind::Missing);
        assert!(missing.to_string().contains(missed), "{missing}");
        fs::create_dir_all(empty.path().join(IMAGES)).unwrap();
    }

    let fails = |studies: &[u8], words: &str| {
        let error = open(with(studies, "").path(), json!({})).err().unwrap();
        assert_eq!(error.kind, ErrorKind::Invalid);
        let sentence = error.to_string();
        assert!(
            sentence.contains(STUDIES) && sentence.contains(words),
            "{sentence}"
        );
    };
    let text = text();
    fails(b"", "EOF");
    fails(b"{}", "invalid type: map");
    fails(&text.as_bytes()[..text.len() / 2], "EOF");
    fails((text.clone() + "]").as_bytes(), "trailing characters");
    fails(
        text.replacen("\"abnormal\"", "\"ab\"", 1).as_bytes(),
        "missing field `abnormal`",
    );
    fails(
        text.replacen("ImageID", "Image", 1).as_bytes(),
        "missing field `ImageID`",
    );
    fails(text.replacen("0.25", "None", 1).as_bytes(), "unknown word");
    fails(
        text.replacen("0.25", "nil", 1).as_bytes(),
        "expected ident at line 14 column",
    );
    fails(
        text.replacen("cardiom", "cardi\u{0}m", 1).as_bytes(),
        "control character",
    );
    fails("[".repeat(1 << 20).as_bytes(), "no list of studies");
    // What is passed over may be in any encoding, what is used may not.
    let latin = |text: &str| -> Vec<u8> { text.chars().map(|c| c as u8).collect() };
    assert!(open(with(&latin(&text), "").path(), json!({})).is_ok());
    let label = text.replacen("cardiom", "cardióm", 1);
    fails(&latin(&label), "invalid unicode code point");
}
