//! Result files appear whole or not at all.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use medfocus::output::OutDir;
use medfocus_plugin_api::{ErrorKind, GrayImage, Result};
use ndarray::{Array2, array};

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn folder() -> (tempfile::TempDir, OutDir) {
    let parent = tempfile::tempdir().unwrap();
    let out = OutDir::create(parent.path().join("runs/one")).unwrap();
    (parent, out)
}

/// Writes half of something, then meets a disk that is really full.
fn full_disk(out: &mut (dyn Write + Send)) -> io::Result<()> {
    out.write_all(&[7; 100_000])?;
    File::create("/dev/full")?.write_all(b"more")
}

#[test]
fn a_full_disk_leaves_the_former_file_and_nothing_else() {
    let (_parent, out) = folder();
    out.write("a.txt", |out| out.write_all(b"first")).unwrap();
    let error = out.write("a.txt", full_disk).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Internal);
    let sentence = error.to_string();
    assert!(sentence.contains("a.txt"), "{sentence}");
    assert!(sentence.contains("No space left"), "{sentence}");
    assert!(
        sentence.ends_with("free some space on that disk"),
        "{sentence}"
    );
    assert!(out.write("b.txt", full_disk).is_err());
    assert_eq!(names(out.path()), ["a.txt"]);
    assert_eq!(fs::read(out.path().join("a.txt")).unwrap(), b"first");
}

#[test]
fn a_panic_while_writing_leaves_nothing() {
    let (_parent, out) = folder();
    let panicked = std::panic::catch_unwind(|| out.write("a.txt", |_| panic!("stop")));
    assert!(panicked.is_err());
    assert!(names(out.path()).is_empty());
}

#[test]
fn a_name_that_is_taken_by_a_folder_leaves_nothing_behind() {
    let (_parent, out) = folder();
    fs::create_dir(out.path().join("a.json")).unwrap();
    let error = out.json("a.json", &1).unwrap_err().to_string();
    assert!(error.contains("a.json"), "{error}");
    assert_eq!(names(out.path()), ["a.json"]);
}

#[test]
fn a_folder_that_cannot_be_is_named() {
    let (_parent, out) = folder();
    let file = out.write("a", |_| Ok(())).unwrap();
    let error = OutDir::create(file.join("b")).unwrap_err().to_string();
    assert!(error.contains("one/a/b"), "{error}");
    fs::remove_dir_all(out.path()).unwrap();
    assert!(out.json("late.json", &1).is_err());
}

#[test]
fn only_plain_names_are_written() {
    let (_parent, out) = folder();
    for name in ["", ".", "..", "a/b", "/a", "../a", "a/", "./a"] {
        let error = out.write(name, |_| Ok(())).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Invalid, "{name}");
    }
    assert!(names(out.path()).is_empty());
}

#[test]
fn files_are_as_readable_as_any_other_new_file() {
    let (_parent, out) = folder();
    let ours = out.write("ours", |_| Ok(())).unwrap();
    let other = out.path().join("other");
    fs::write(&other, "").unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(&ours), mode(&other));
}

#[test]
fn a_folder_appears_whole_or_not_at_all() {
    let (_parent, out) = folder();
    let place = out.path().join("a/b");
    let fill = |inner: &OutDir| inner.json("x.json", &1).map(|_| 7);
    assert_eq!(OutDir::whole(&place, fill).unwrap(), 7);
    assert_eq!(names(&place), ["x.json"]);
    assert_eq!(names(place.parent().unwrap()), ["b"]);
    let other = out.path().join("other");
    fs::create_dir(&other).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(&place), mode(&other));

    let half = out.path().join("half");
    let fails = |inner: &OutDir| {
        inner.json("x.json", &1)?;
        inner.write("y", full_disk)
    };
    assert!(OutDir::whole(&half, fails).is_err());
    let panics = |inner: &OutDir| -> Result<()> {
        inner.json("x.json", &1)?;
        panic!("stop")
    };
    assert!(std::panic::catch_unwind(|| OutDir::whole(&half, panics)).is_err());
    assert_eq!(names(out.path()), ["a", "other"]);
    let taken = OutDir::whole(&place, fill).unwrap_err().to_string();
    assert!(
        taken.contains("a/b` is there and is no empty folder"),
        "{taken}"
    );
}

#[test]
fn the_formats_are_read_back() {
    let (_parent, out) = folder();
    let json = out
        .json("a.json", &serde_json::json!({"a": [1, 2]}))
        .unwrap();
    assert_eq!(
        fs::read_to_string(json).unwrap(),
        "{\n  \"a\": [\n    1,\n    2\n  ]\n}\n"
    );

    let values = array![[1.0f32, -2.5, 3.0], [0.0, 1e-20, 6.0]];
    let npy = out.npy("a.npy", values.view()).unwrap();
    assert_eq!(
        ndarray_npy::read_npy::<_, Array2<f32>>(&npy).unwrap(),
        values
    );
    let bytes = fs::read(&npy).unwrap();
    let header = String::from_utf8_lossy(&bytes[..128]);
    assert!(
        header.contains("'descr': '<f4', 'fortran_order': False"),
        "{header}"
    );

    let grey = GrayImage::from_array(array![[0, 100, 255]]).unwrap();
    let png = image::open(out.png_grey("g.png", &grey).unwrap()).unwrap();
    assert_eq!(png.as_luma8().unwrap().as_raw(), grey.bytes());

    let rgb = image::RgbImage::from_raw(2, 1, vec![1, 2, 3, 250, 128, 0]).unwrap();
    let png = image::open(out.png_rgb("c.png", &rgb).unwrap()).unwrap();
    assert_eq!(png.as_rgb8(), Some(&rgb));
}
