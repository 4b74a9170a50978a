//! The test set against what pandas finds in a small archive, which `fixtures/make_vindr.py` writes.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write as _,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};
use medfocus_dataset_vindr_cxr::VindrReader;
use medfocus_plugin_api::{DatasetReader, ErrorKind, Result, testkit::LocalHost};
use serde_json::{Value, json};
use tempfile::TempDir;

const ANNOTATIONS: &str = "vindr-cxr/1.0.0/annotations/annotations_test.csv";
const IMAGES: &str = "vindr-cxr/1.0.0/test";

fn archive() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/archive")
}

fn open(root: &Path) -> Result<VindrReader> {
    LocalHost::new().create(json!({"path": root.to_str().unwrap()}))
}

fn text() -> String {
    fs::read_to_string(archive().join(ANNOTATIONS)).unwrap()
}

/// The archive with other annotations, in a file of this name's end.
fn with(annotations: &[u8], end: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(format!("{ANNOTATIONS}{end}"));
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, annotations).unwrap();
    symlink(archive().join(IMAGES), folder.path().join(IMAGES)).unwrap();
    folder
}

/// Every sample is what pandas finds.
fn agrees(reader: &VindrReader) {
    let expected: Vec<Value> = serde_json::from_str(include_str!("fixtures/vindr.json")).unwrap();
    assert_eq!(reader.info().unwrap().len, expected.len() as u64);
    let mut patients = BTreeMap::new();
    for (index, expected) in (0..).zip(&expected) {
        let image = expected["image"].as_str().unwrap();
        let sample = reader.sample(index);
        if expected["size"].is_null() {
            let error = sample.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Missing);
            assert!(
                error
                    .to_string()
                    .contains(&format!("{IMAGES}/{image}.dicom")),
                "{error}"
            );
            continue;
        }
        let sample = sample.unwrap();
        assert_eq!(sample.key.dataset, "vindr_cxr");
        assert_eq!(sample.key.index, index);
        // No two films have the same size; each is a ramp from black to white.
        let (width, height) = (sample.image.width(), sample.image.height());
        assert_eq!(json!([width, height]), expected["size"]);
        let row = &sample.image.bytes()[..width as usize];
        assert_eq!((row[0], row[1], row[width as usize - 1]), (0, 5, 255));
        assert_eq!(json!(sample.finding), expected["finding"]);
        assert_eq!(json!(sample.question), expected["question"]);
        assert_eq!(sample.present, Some(true));
        let boxes: Vec<_> = sample.boxes.iter().map(|bbox| bbox.corners()).collect();
        assert_eq!(json!(boxes), expected["boxes"], "sample {index}");
        patients.insert(image.to_owned(), sample.patient.unwrap());
    }
    let names: BTreeSet<_> = patients.values().collect();
    assert_eq!(
        (patients.len(), names.len()),
        (5, 5),
        "a name for each image"
    );
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
            let line = oddity.first.strip_prefix("annotations_test.csv, line ");
            (oddity.what.as_str(), oddity.count, line.unwrap())
        })
        .collect();
    // Lines counted by hand.
    let expected = [
        ("boxes without area", 2, "14"),
        ("rows given twice", 1, "17"),
        ("boxes that are no four numbers", 4, "18"),
        ("rows without image or class", 3, "22"),
        ("rows with too few cells", 2, "25"),
    ];
    assert_eq!(oddities, expected);
}

#[test]
fn what_happens_to_boxes_is_said() {
    let reader = open(&archive()).unwrap();
    let warnings = |index| reader.sample(index).unwrap().warnings;
    assert_eq!(
        warnings(6),
        [
            "1 box reaches beyond the image and is clipped",
            "1 box lies outside the image and is left out",
            "2 boxes have no area and are left out",
        ]
    );
    assert_eq!(
        warnings(1),
        ["2 boxes have no four numbers and are left out"]
    );
    assert!(warnings(7).is_empty());
}

#[test]
fn how_the_file_is_written_changes_nothing() {
    let text = text();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(text.as_bytes()).unwrap();
    let folders = [
        with(text.replace('\n', "\r\n").as_bytes(), ""),
        with(format!("\u{feff}{text}").as_bytes(), ""),
        with(&gzip.finish().unwrap(), ".gz"),
    ];
    let digests = folders.each_ref().map(|folder| {
        let reader = open(folder.path()).unwrap();
        agrees(&reader);
        reader.info().unwrap().digest
    });
    let digest = open(&archive()).unwrap().info().unwrap().digest;
    assert_eq!(digests[1..], [digest.clone(), digest]);
    // More columns, in another order, as the training set has them.
    let text = "rad_id,x_max,y_max,class_name,image_id,x_min,y_min\nR1,9,8,Edema,0a,1,2\n";
    let folder = with(text.as_bytes(), "");
    let sample = open(folder.path()).unwrap().sample(0).unwrap();
    assert_eq!(
        (sample.finding.as_str(), sample.boxes[0].corners()),
        ("Edema", [1, 2, 9, 8])
    );
}

#[test]
fn what_is_wrong_is_named() {
    let unset = LocalHost::new().create::<VindrReader>(json!({}));
    let sentence = unset.err().unwrap().to_string();
    assert!(sentence.contains("`path` is missing"), "{sentence}");
    let empty = tempfile::tempdir().unwrap();
    let missing = open(empty.path()).err().unwrap();
    assert_eq!(missing.kind, ErrorKind::Missing);
    assert!(missing.to_string().contains(ANNOTATIONS), "{missing}");
    let renamed = with(text().replace("x_min", "xmin").as_bytes(), "");
    let error = open(renamed.path()).err().unwrap().to_string();
    assert!(
        error.contains("annotations_test.csv has no column `x_min`"),
        "{error}"
    );
    let out = with(text().replace("0a,", "../annotations/0a,").as_bytes(), "");
    let error = open(out.path()).unwrap().sample(0).unwrap_err().to_string();
    assert!(error.contains("leads out of"), "{error}");
    let beyond = open(&archive()).unwrap().sample(14).unwrap_err();
    assert!(
        beyond.to_string().contains("sample 14 is beyond the 14"),
        "{beyond}"
    );
}

#[test]
fn a_damaged_image_fails_alone() {
    let folder = tempfile::tempdir().unwrap();
    let images = folder.path().join(IMAGES);
    fs::create_dir_all(&images).unwrap();
    let annotations = folder.path().join(ANNOTATIONS);
    fs::create_dir_all(annotations.parent().unwrap()).unwrap();
    fs::write(
        annotations,
        "image_id,class_name,x_min,y_min,x_max,y_max\na,X,1,1,2,2\nb,X,1,1,2,2\n",
    )
    .unwrap();
    let film = fs::read(archive().join(IMAGES).join("0a.dicom")).unwrap();
    fs::write(images.join("a.dicom"), &film[..film.len() - 100]).unwrap();
    fs::write(images.join("b.dicom"), &film).unwrap();
    let reader = open(folder.path()).unwrap();
    let error = reader.sample(0).unwrap_err().to_string();
    assert!(
        error.contains("a.dicom") && error.contains("cut short"),
        "{error}"
    );
    assert_eq!(reader.sample(1).unwrap().image.width(), 50);
}
